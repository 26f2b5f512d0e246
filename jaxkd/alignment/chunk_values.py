"""Values of chunks from values of their tokens: ends, sums, and merging of chunks."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxkd.records import Alignment


def ends(student: Int[Array, "*b k"], teacher: Int[Array, "*b m"]) -> Alignment:
    """Find the last tokens of each chunk, which end at the same byte.

    Args:
        student: chunk numbers of the student's tokens, from `chunks.chunks`.
        teacher: chunk numbers of the teacher's tokens.

    Returns:
        int32; slot i belongs to chunk i + 1.  There is one slot per position of the shorter side.

    Source: inferred.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> pairs = ends(jnp.array([1, 1, 2, 0]), jnp.array([1, 2, 2]))
        >>> pairs.student.tolist(), pairs.teacher.tolist(), pairs.mask.tolist()
        ([1, 2, 0], [0, 2, 0], [True, True, False])
    """
    last = functools.partial(_last, slots=min(student.shape[-1], teacher.shape[-1]))
    ours, theirs = (jnp.vectorize(last, signature="(k)->(p)")(side) for side in (student, teacher))
    return Alignment(student=jnp.maximum(ours, 0), teacher=jnp.maximum(theirs, 0), mask=ours >= 0)


def sums(values: Float[Array, "*b k"], numbers: Int[Array, "*b k"], *, slots: int) -> Float[Array, "*b p"]:
    """Sum the values of each chunk's tokens; log-probabilities add up to that of the chunk.

    Args:
        values: values of one side's tokens; gradients reach them.  Tokens in no chunk may have any finite value.
        numbers: chunk numbers of the same tokens, from `chunks.chunks`.
        slots: number of slots of `ends`.

    Returns:
        The sum of chunk i + 1 in slot i; 0 in an empty slot.

    Source: inferred.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> sums(jnp.array([1.0, 2.0, 4.0, 8.0]), jnp.array([1, 1, 2, 0]), slots=3).tolist()
        [3.0, 4.0, 0.0]
    """

    def of_row(values: Float[Array, " k"], numbers: Int[Array, " k"]) -> Float[Array, " p"]:
        return jax.ops.segment_sum(values, numbers, slots + 1)[1:]

    return jnp.vectorize(of_row, signature="(k),(k)->(p)")(values, numbers)


def has_next(pairs: Alignment, segment_ids: Int[Array, "*b k"]) -> Bool[Array, "*b p"]:
    """Return whether another chunk of the same text follows each chunk.

    Args:
        pairs: result of `ends`.
        segment_ids: segment ids of the student's tokens.

    Returns:
        One value per slot; False for the last chunk of a text and for an empty slot.

    Source: inferred.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> pairs = ends(jnp.array([1, 1, 2, 3]), jnp.array([1, 2, 3]))
        >>> has_next(pairs, jnp.array([1, 1, 1, 2])).tolist()
        [True, False, False]
    """
    texts = jnp.where(pairs.mask, jnp.take_along_axis(segment_ids, pairs.student, axis=-1), 0)
    following = jnp.concatenate([texts[..., 1:], jnp.zeros_like(texts[..., :1])], axis=-1)
    return pairs.mask & (following == texts)


def leads(numbers: Int[Array, "*b k"], last: Int[Array, "*b p"]) -> Bool[Array, "*b k"]:
    """Return whether a token is followed by another token of its chunk.

    Args:
        numbers: chunk numbers of one side's tokens, from `chunks.chunks`.
        last: positions of that side in `ends`.

    Returns:
        One value per token.  The log-probabilities of these tokens add up to that of the chunk before its last token.

    Source: inferred.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> numbers = jnp.array([1, 1, 2, 0])
        >>> leads(numbers, ends(numbers, jnp.array([1, 2, 2])).student).tolist()
        [True, False, False, False]
    """
    own = jnp.take_along_axis(last, jnp.maximum(numbers - 1, 0), axis=-1)
    positions = jnp.broadcast_to(jnp.arange(numbers.shape[-1]), numbers.shape)
    return (numbers > 0) & (positions < own)


def merged(present: Bool[Array, "*b p"], closed: Bool[Array, "*b p"]) -> Int[Array, "*b p"]:
    """Number the longer chunks made of consecutive chunks: a new one begins after each closed chunk.

    Args:
        present: mask of `ends`: whether a slot holds a chunk.
        closed: whether the chunk in each slot ends a longer chunk; True for the last chunk of each text.

    Returns:
        The number of each slot's longer chunk, for `sums`: int32, from 1, ascending along the row; 0 for an empty slot.

    Source: inferred.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> present, closed = jnp.array([True, True, True, False]), jnp.array([False, True, True, True])
        >>> merged(present, closed).tolist()
        [1, 1, 2, 0]
    """
    before = jnp.cumsum(closed, axis=-1) - closed
    return jnp.where(present, 1 + before, 0).astype(jnp.int32)


def _last(numbers: Int[Array, " k"], *, slots: int) -> Int[Array, " p"]:
    """Return the last position of each number from 1 on; -1 if it does not occur."""
    positions = jnp.full(slots + 1, -1, jnp.int32)
    return positions.at[numbers].max(jnp.arange(numbers.shape[0], dtype=jnp.int32))[1:]
