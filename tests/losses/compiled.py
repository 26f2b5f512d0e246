"""A loss with its gradients, compiled once for all tests that ask for its values, and its gradients against others."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.test_util import check_vjp


@functools.cache
def compiled(loss: Callable, /, **options: Any) -> Callable:
    """Value and gradients of `loss` with its options, in NumPy.

    Args:
        loss: of arrays by place and by name; the gradients are those of the sum of its value.
        options: not traced.

    Returns:
        A function of the arrays, or of trees of them, in NumPy or placed on devices; it returns the value and a tuple,
        the gradient to each argument by place.
    """

    def total(arguments, named):
        value = loss(*arguments, **named, **options)
        return jnp.sum(value), value

    @jax.jit
    def run(arguments, named):
        (_, value), gradients = jax.value_and_grad(total, has_aux=True)(arguments, named)
        return value, gradients

    return lambda *arguments, **named: jax.device_get(run(arguments, named))


def assert_equals_finite_differences(
    run: Callable, *arguments: Any, at: int = 0, rtol: float, atol: float, eps: float
) -> None:
    """Compare a gradient in one random direction, as `check_grads` does, which would compile the function twice more.

    Args:
        run: of the arguments; returns an array and a tuple, the gradient of its sum to each argument.
        arguments: NumPy arrays, or trees of them.
        at: the place of the argument that varies.
        rtol: of the derivative of the sum in that direction.
        atol: of the same.
        eps: the step, in a direction whose entries are about 1.
    """

    def value_and_gradient(argument):
        value, gradients = run(*arguments[:at], argument, *arguments[at + 1 :])
        return value.sum(), gradients[at]

    def pulled_back(argument):
        value, gradient = value_and_gradient(argument)
        return value, lambda cotangent: (jax.tree.map(lambda leaf: leaf * cotangent, gradient),)

    check_vjp(lambda one: value_and_gradient(one)[0], pulled_back, (arguments[at],), rtol=rtol, atol=atol, eps=eps)


@functools.cache
def jitted(function: Callable, /, **options: Any) -> Callable:
    """`function` with its options, not traced, compiled; it takes and returns NumPy arrays, or trees of them."""
    run = jax.jit(functools.partial(function, **options))
    return lambda *arguments, **named: jax.device_get(run(*arguments, **named))
