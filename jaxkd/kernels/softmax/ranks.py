"""Two distributions compared rank by rank: the likeliest tokens with each other, then the second likeliest, and so on.

Which tokens these are does not matter, so the vocabularies may differ.  A sum over ranks needs sorted values, and its
gradient the rank of every token: both are taken from one sort of integers, which XLA sorts faster on a CPU than floats
with their places.
"""

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float, Int

GROUP = 8
"""Tokens of which the largest stands for all, where the largest of a vocabulary are looked for."""


@jax.custom_jvp
def rank_distance(student: Float[Array, "*tokens vs"], teacher: Float[Array, "*tokens vt"]) -> Float[Array, "*tokens"]:
    """sum_r abs(p_r - q_r) over ranks r of probabilities; the shorter side has probability 0 at the last ranks.

    Tokens of equal probability have equal derivatives: those of the last rank that they share.
    """
    q, p = _aligned(_ascending(student), _ascending(teacher))
    return jnp.sum(jnp.abs(q - p), axis=-1)


def _rank_distance_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array | SymbolicZero, Array | SymbolicZero]
) -> tuple[Array, Array]:
    ordered = [_ascending(one) for one in primals]
    q, p = _aligned(*ordered)
    gaps = q - p
    tangent = jnp.zeros(gaps.shape[:-1], gaps.dtype)
    for values, own, change, sign in zip(primals, ordered, tangents, (1, -1), strict=True):
        if not isinstance(change, SymbolicZero):  # the ranks are half of the work: only where they are asked for
            slopes = sign * jnp.sign(gaps[..., gaps.shape[-1] - own.shape[-1] :])
            tangent += jnp.sum(jnp.take_along_axis(slopes, _places(own, values), axis=-1) * change, axis=-1)
    # Not from the gaps: this value is differentiated once more where a second derivative is asked for.
    return rank_distance(*primals), tangent


rank_distance.defjvp(_rank_distance_jvp, symbolic_zeros=True)


def truncated_rank_distance(
    student: Float[Array, "*tokens vs"], teacher: Float[Array, "*tokens vt"], top: int
) -> tuple[Float[Array, "*tokens"], Float[Array, "*tokens"]]:
    """The distance over the first `top` ranks, and of all others together as one; and what that may leave out.

    The others add sum_r abs(p_r - q_r), which is at least the difference of the two sums and at most their sum.  So
    the exact distance is between `distance` and `distance + bound`, the bound being twice the smaller sum.
    """
    (q, q_tail), (p, p_tail) = (_head_and_tail(one, top) for one in (student, teacher))
    if q.shape[-1] != p.shape[-1]:
        ranks = max(q.shape[-1], p.shape[-1])
        q, p = (jnp.pad(one, [(0, 0)] * (one.ndim - 1) + [(0, ranks - one.shape[-1])]) for one in (q, p))
    distance = jnp.sum(jnp.abs(q - p), axis=-1) + jnp.abs(q_tail - p_tail)
    return distance, 2 * jax.lax.stop_gradient(jnp.minimum(q_tail, p_tail))


def _head_and_tail(
    probs: Float[Array, "*tokens v"], top: int
) -> tuple[Float[Array, "*tokens top"], Float[Array, "*tokens"]]:
    """The largest probabilities in descending order, and the sum of the others."""
    size = probs.shape[-1]
    top, flat = min(top, size), probs.reshape(-1, size)
    largest, _ = jax.lax.top_k(_without_small(flat, top), top)
    # Exact to the rounding of a sum that is 1, as the distance is.
    tail = jnp.maximum(jnp.sum(flat, axis=-1) - jnp.sum(largest, axis=-1), 0)
    return largest.reshape(*probs.shape[:-1], top), tail.reshape(probs.shape[:-1])


def _without_small(probs: Float[Array, "n v"], top: int) -> Float[Array, "n v"]:
    """0 in place of most that are not among the `top` largest: `top_k` of the others takes two thirds of the time.

    `top` groups have a largest member at or above the `top`-th largest of these, so as many tokens do.
    """
    groups = -(-probs.shape[-1] // GROUP)
    if groups < top:
        return probs
    members = jnp.pad(probs, ((0, 0), (0, groups * GROUP - probs.shape[-1]))).reshape(-1, GROUP, groups)
    bound = _ascending(jnp.max(members, axis=1))[:, groups - top]
    return jnp.where(probs < bound[:, None], 0, probs)  # NaN stays


def _ascending(probs: Float[Array, "*tokens v"]) -> Float[Array, "*tokens v"]:
    """Sorted probabilities."""
    return jax.lax.bitcast_convert_type(jax.lax.sort(_as_integers(probs)), probs.dtype)


def _places(ascending: Float[Array, "*tokens v"], probs: Float[Array, "*tokens v"]) -> Int[Array, "*tokens v"]:
    """Where each probability stands among the sorted ones; the first place of equal ones."""
    size = probs.shape[-1]
    keys, queries = (_as_integers(one).reshape(-1, size) for one in (ascending, probs))
    return jax.vmap(jnp.searchsorted)(keys, queries).reshape(probs.shape)


def _as_integers(probs: Float[Array, "*tokens v"]) -> Int[Array, "*tokens v"]:
    """Integers in the order of the probabilities: the bits of a float that is not negative are."""
    return jax.lax.bitcast_convert_type(probs, jnp.dtype(f"int{8 * probs.dtype.itemsize}"))


def _aligned(
    student: Float[Array, "*tokens vs"], teacher: Float[Array, "*tokens vt"]
) -> tuple[Float[Array, "*tokens v"], Float[Array, "*tokens v"]]:
    """Ascending probabilities of one length: what the shorter side lacks comes first, as zeros."""
    size = max(student.shape[-1], teacher.shape[-1])
    student, teacher = (
        jnp.pad(one, [(0, 0)] * (one.ndim - 1) + [(size - one.shape[-1], 0)]) for one in (student, teacher)
    )
    return student, teacher
