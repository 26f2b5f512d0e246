"""Selection of the largest values by a threshold, without sorting.

A sort of the vocabulary costs more than the rest of a decoding step on a CPU, and gathers the vocabulary if it is
split over devices.  A bisection over the bits of a float needs as many sums over the vocabulary as a float has bits.
"""

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int

_INTEGERS: dict[int, DTypeLike] = {32: jnp.int32, 64: jnp.int64}


def keep_largest(
    values: Float[Array, "b v"], weights: Float[Array, "b v"], *, enough: float | int
) -> Bool[Array, "b v"]:
    """Mark the fewest of the largest values whose weights add up to at least `enough`.

    Equal values are kept or left out together, so more than the fewest if the last ones are equal; all of them if the
    sum of all falls short of `enough`.

    Args:
        values: float32 or float64; -inf is the smallest; must not contain NaN.
        weights: non-negative weights.
        enough: required sum, in the unit of `weights`.

    Source: inferred; bisection over the order-preserving integers of IEEE 754 floats.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> values = jnp.array([[3.0, 1.0, 2.0, 1.0]])
        >>> keep_largest(values, jnp.ones((1, 4)), enough=2).tolist()
        [[True, False, True, False]]
    """
    integers = _ordered(values)
    span = jnp.iinfo(integers.dtype)
    # Invariant: `low` keeps enough, or is the smallest integer; nothing above `high` keeps enough.
    low = jnp.full(values.shape[:1], span.min, integers.dtype)
    high = integers.max(axis=-1)

    def halve(_: Int[Array, ""], bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        # (low + high) / 2 rounded up; the sum itself would overflow.
        middle = (low | high) - ((low ^ high) >> 1)
        kept = jnp.where(integers >= middle[:, None], weights, 0).sum(axis=-1) >= enough
        return jnp.where(kept, middle, low), jnp.where(kept, high, middle - 1)

    low, _ = jax.lax.fori_loop(0, span.bits, halve, (low, high))
    return integers >= low[:, None]


def _ordered(values: Float[Array, "b v"]) -> Int[Array, "b v"]:
    """Integers in the order of the floats, and equal where those are: their bits as sign and magnitude."""
    bits = jax.lax.bitcast_convert_type(values, _INTEGERS[jnp.finfo(values.dtype).bits])
    return jnp.where(bits < 0, -(bits & jnp.iinfo(bits.dtype).max), bits)
