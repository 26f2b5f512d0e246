"""Dropout with masks that are drawn together: each draw by itself would take a second to compile."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float


def dropout_masks(
    shapes: Sequence[tuple[int, ...]], rate: float, rngs: nnx.Rngs | None
) -> list[Bool[Array, "..."]] | None:
    """Draw masks of independent elements, True for those that are kept; None where nothing is dropped.

    Args:
        shapes: shapes of the masks, with one first axis: that of the batch.
        rate: probability of False, at least 0 and below 1, rounded to a multiple of 2^-16.
        rngs: source of random keys with the stream "dropout"; None: nothing is dropped.

    Raises:
        ValueError: a rate outside its range.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"rate of the dropout must be at least 0 and below 1, got {rate}.")
    if rngs is None or rate == 0:
        return None
    sizes = [math.prod(shape[1:]) for shape in shapes]
    bits = jax.random.bits(rngs.dropout(), (shapes[0][0], sum(sizes)), jnp.uint16)
    kept = bits >= jnp.uint16(min(round(rate * 2**16), 2**16 - 1))
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    return [
        kept[:, start : start + size].reshape(shape) for shape, start, size in zip(shapes, starts, sizes, strict=True)
    ]


def dropout(values: Float[Array, "*shape"], kept: Bool[Array, "*shape"] | None, rate: float) -> Float[Array, "*shape"]:
    """Return kept values divided by 1 - `rate`, and 0 for the others; the values themselves without a mask."""
    return values if kept is None else jnp.where(kept, values / (1 - rate), jnp.zeros((), values.dtype))
