"""The claim that a loss never stores all logits, read off the jaxpr of its value and gradient."""

from collections.abc import Callable, Iterator
from typing import Any

import jax


def assert_never_as_large_as_the_logits(
    loss: Callable, *arguments: Any, tokens: int, vocabulary: int, sizes: tuple[int, ...]
) -> None:
    """Fail where the value and gradient of `loss(*arguments)` compute a quarter of [tokens, vocabulary] or more.

    Args:
        loss: returns a scalar; differentiated by every argument.
        arguments: arrays, or what has their shapes: nothing is computed.
        tokens: positions of the loss.
        vocabulary: rows of the heads.
        sizes: tokens of a chunk and widths.  The tokens must be eight times each, so that a gradient of the size of
            the hidden states or of a head is no quarter of the logits.
    """
    if tokens < 8 * max(sizes):
        raise ValueError(f"tokens must be 8 times {max(sizes)}, the largest of sizes, or more, got {tokens}.")
    gradient = jax.value_and_grad(loss, tuple(range(len(arguments))))
    largest = largest_array(jax.make_jaxpr(gradient)(*arguments).jaxpr)
    assert largest < tokens * vocabulary / 4


def largest_array(jaxpr: Any) -> int:
    """Elements of the largest value that a jaxpr computes, sub-jaxprs included."""
    return max((variable.aval.size for equation in _equations(jaxpr) for variable in equation.outvars), default=0)


def count(jaxpr: Any, primitive: str) -> int:
    """How often a primitive stands in a jaxpr, sub-jaxprs included; the body of a loop counts once."""
    return sum(equation.primitive.name == primitive for equation in _equations(jaxpr))


def _equations(jaxpr: Any) -> Iterator[Any]:
    for equation in jaxpr.eqns:
        yield equation
        # A parameter may be a jaxpr, a closed one, or a tuple of them: the branches of a cond.
        for parameter in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_jaxpr):
            if _is_jaxpr(parameter):
                yield from _equations(getattr(parameter, "jaxpr", parameter))


def _is_jaxpr(value: Any) -> bool:
    return hasattr(getattr(value, "jaxpr", value), "eqns")
