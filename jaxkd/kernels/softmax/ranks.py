"""Two distributions compared rank by rank: the most likely tokens, then the second most likely, and so on.

Token identities do not matter, so the vocabularies may differ.  A sum over ranks needs sorted values, and its gradient
the rank of every token: both come from one sort of integers, which XLA sorts faster on a CPU than floats with their
indices.
"""

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float, Int

GROUP = 8
"""Tokens per group; the largest of a group represents it in the search for a vocabulary's largest."""


@jax.custom_jvp
def rank_distance(student: Float[Array, "*tokens vs"], teacher: Float[Array, "*tokens vt"]) -> Float[Array, "*tokens"]:
    """Return sum_r abs(p_r - q_r) over ranks r of probabilities; the shorter side is padded with probability 0.

    Tokens of equal probability have equal derivatives: that of the last rank that they share.
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
        if not isinstance(change, SymbolicZero):  # compute ranks, half of the work, only if needed
            slopes = sign * jnp.sign(gaps[..., gaps.shape[-1] - own.shape[-1] :])
            tangent += jnp.sum(jnp.take_along_axis(slopes, _places(own, values), axis=-1) * change, axis=-1)
    # Not from the gaps: a second derivative differentiates this value once more.
    return rank_distance(*primals), tangent


rank_distance.defjvp(_rank_distance_jvp, symbolic_zeros=True)


def truncated_rank_distance(
    student: Float[Array, "*tokens vs"], teacher: Float[Array, "*tokens vt"], top: int
) -> tuple[Float[Array, "*tokens"], Float[Array, "*tokens"]]:
    """Return the distance over the first `top` ranks, with all others as one rank, and a bound on the error.

    The other ranks' sum_r abs(p_r - q_r) is at least the difference of the two sums and at most their sum.  So the
    exact distance is between `distance` and `distance + bound`, the bound being twice the smaller sum.
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
    """Return the largest probabilities in descending order, and the sum of the others."""
    size = probs.shape[-1]
    top, flat = min(top, size), probs.reshape(-1, size)
    largest, _ = jax.lax.top_k(_without_small(flat, top), top)
    # Exact to the rounding of a sum that is 1, as the distance is.
    tail = jnp.maximum(jnp.sum(flat, axis=-1) - jnp.sum(largest, axis=-1), 0)
    return largest.reshape(*probs.shape[:-1], top), tail.reshape(probs.shape[:-1])


def _without_small(probs: Float[Array, "n v"], top: int) -> Float[Array, "n v"]:
    """Zero most entries outside the `top` largest, which cuts the time of `top_k` to two thirds.

    `top` groups have a largest member at or above the `top`-th largest of these, so as many tokens do.
    """
    groups = -(-probs.shape[-1] // GROUP)
    if groups < top:
        return probs
    members = jnp.pad(probs, ((0, 0), (0, groups * GROUP - probs.shape[-1]))).reshape(-1, GROUP, groups)
    bound = _ascending(jnp.max(members, axis=1))[:, groups - top]
    return jnp.where(probs < bound[:, None], 0, probs)  # NaN stays


def _ascending(probs: Float[Array, "*tokens v"]) -> Float[Array, "*tokens v"]:
    """Return sorted probabilities."""
    return jax.lax.bitcast_convert_type(jax.lax.sort(_as_integers(probs)), probs.dtype)


def _places(ascending: Float[Array, "*tokens v"], probs: Float[Array, "*tokens v"]) -> Int[Array, "*tokens v"]:
    """Return the index of each probability among the sorted ones; the first index for ties."""
    size = probs.shape[-1]
    keys, queries = (_as_integers(one).reshape(-1, size) for one in (ascending, probs))
    return jax.vmap(jnp.searchsorted)(keys, queries).reshape(probs.shape)


def _as_integers(probs: Float[Array, "*tokens v"]) -> Int[Array, "*tokens v"]:
    """Return integers in the order of the probabilities: the bits of non-negative floats."""
    return jax.lax.bitcast_convert_type(probs, jnp.dtype(f"int{8 * probs.dtype.itemsize}"))


def _aligned(
    student: Float[Array, "*tokens vs"], teacher: Float[Array, "*tokens vt"]
) -> tuple[Float[Array, "*tokens v"], Float[Array, "*tokens v"]]:
    """Pad ascending probabilities to one length, with leading zeros on the shorter side."""
    size = max(student.shape[-1], teacher.shape[-1])
    student, teacher = (
        jnp.pad(one, [(0, 0)] * (one.ndim - 1) + [(size - one.shape[-1], 0)]) for one in (student, teacher)
    )
    return student, teacher
