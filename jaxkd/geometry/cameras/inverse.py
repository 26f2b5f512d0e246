"""Inverse of a map of the plane: Newton's method with a fixed number of steps, differentiated implicitly."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

NEWTON_STEPS = 8
"""Steps of Newton's method.  From a start that is right up to the tangential terms, five reach rounding in float64."""

SMALLEST_RESIDUAL = 200
"""Residual that counts as a solution, in units of rounding: 2e-5 of a focal length in float32, 4e-14 in float64."""

Map = Callable[[Float[Array, "*b 2"]], Float[Array, "*b 2"]]


def inverse(
    function: Map,
    target: Float[Array, "*b 2"],
    *,
    start: Float[Array, "*b 2"],
    inside: Callable[[Float[Array, "*b 2"]], Bool[Array, "*b"]],
) -> tuple[Float[Array, "*b 2"], Bool[Array, "*b"]]:
    """Return the x with function(x) = target, and whether it was found.

    Derivatives come from the implicit function theorem, dx = J^-1 (dtarget - dfunction), not through the steps: they
    are as exact as the solution, of any order, in both modes, and cost no memory for the steps.

    Args:
        function: of each row by itself, differentiable; the identity at 0 to first order.
        target: values.
        start: first guess; no gradient passes.
        inside: whether a solution lies where the function is one to one.

    Returns:
        The solution, and whether it is one; where it is none the solution is 0, with a gradient of 0.
    """
    frozen_target, start = jax.lax.stop_gradient((target, start))

    def step(_: int, x: Float[Array, "*b 2"]) -> Float[Array, "*b 2"]:
        value, linear = jax.linearize(function, x)
        return x - _solved(linear, value - frozen_target)

    x = jax.lax.stop_gradient(jax.lax.fori_loop(0, NEWTON_STEPS, step, start))
    residual = jnp.max(jnp.abs(function(x) - frozen_target), axis=-1)
    bound = SMALLEST_RESIDUAL * jnp.finfo(target.dtype).eps * (1 + jnp.max(jnp.abs(frozen_target), axis=-1))
    found = (residual <= bound) & inside(x)
    # Both sides are replaced where no solution was found: its Jacobian may be singular, and 0 / 0 poisons sums.
    x, target = (jnp.where(found[..., None], one, 0) for one in (x, target))
    solution = jax.lax.custom_root(
        lambda x: function(x) - target, jax.lax.stop_gradient(x), lambda _, x: x, lambda linear, y: _solved(linear, y)
    )
    return solution, found


def jacobian_determinant(function: Map, x: Float[Array, "*b 2"]) -> Float[Array, "*b"]:
    """Return the determinant of the Jacobian of a map of each row."""
    _, linear = jax.linearize(function, x)
    return _determinant(*_columns(linear, x))


def _solved(linear: Map, target: Float[Array, "*b 2"]) -> Float[Array, "*b 2"]:
    first, second = _columns(linear, target)
    solution = jnp.stack([_determinant(target, second), _determinant(first, target)], axis=-1)
    return solution / _determinant(first, second)[..., None]


def _columns(linear: Map, like: Float[Array, "*b 2"]) -> tuple[Float[Array, "*b 2"], Float[Array, "*b 2"]]:
    one, zero = jnp.ones_like(like[..., 0]), jnp.zeros_like(like[..., 0])
    return linear(jnp.stack([one, zero], axis=-1)), linear(jnp.stack([zero, one], axis=-1))


def _determinant(first: Float[Array, "*b 2"], second: Float[Array, "*b 2"]) -> Float[Array, "*b"]:
    return first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]
