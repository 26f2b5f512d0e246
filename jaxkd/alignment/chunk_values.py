"""What stretches of text are worth, from values of their tokens: ends, sums, and longer stretches out of short ones."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxkd.records import Alignment


def ends(student: Int[Array, "*b k"], teacher: Int[Array, "*b m"]) -> Alignment:
    """The last tokens of each stretch, which end at the same byte.

    Args:
        student: the student's numbers from `chunks.chunks`.
        teacher: the teacher's.

    Returns:
        int32; slot i is that of stretch i + 1.  There are as many slots as places on the shorter side.

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
    """The sum over the tokens of each stretch: of log-probabilities, that of the stretch.

    Args:
        values: of the tokens of one side; gradients reach them.  What is in no stretch may be anything finite.
        numbers: of the same tokens, from `chunks.chunks`.
        slots: of `ends`.

    Returns:
        Slot i has the sum of stretch i + 1, and 0 where there is none.

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
    """Whether another stretch of the same text follows each.

    Args:
        pairs: the `ends`.
        segment_ids: of the student's tokens.

    Returns:
        A value per slot; False behind the last stretch of a text, and where there is none.

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
    """Whether a token is in a stretch, with another of the same stretch behind it.

    Args:
        numbers: of the tokens of one side, from `chunks.chunks`.
        last: the places of that side in `ends`.

    Returns:
        A value per token.  Their log-probabilities add up to that of what the stretch's last token is conditioned on.

    Source: inferred.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> numbers = jnp.array([1, 1, 2, 0])
        >>> leads(numbers, ends(numbers, jnp.array([1, 2, 2])).student).tolist()
        [True, False, False, False]
    """
    own = jnp.take_along_axis(last, jnp.maximum(numbers - 1, 0), axis=-1)
    places = jnp.broadcast_to(jnp.arange(numbers.shape[-1]), numbers.shape)
    return (numbers > 0) & (places < own)


def merged(present: Bool[Array, "*b p"], closed: Bool[Array, "*b p"]) -> Int[Array, "*b p"]:
    """Which longer stretch each belongs to: a new one begins behind each that is closed.

    Args:
        present: the mask of `ends`: whether a slot holds a stretch.
        closed: by slot.  The last stretch of each text must be.

    Returns:
        Numbers of slots, for `sums`: int32, from 1 and ascending along the row, 0 where there is no stretch.

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
    """The last place of each number from 1 on, -1 where it has none."""
    places = jnp.full(slots + 1, -1, jnp.int32)
    return places.at[numbers].max(jnp.arange(numbers.shape[0], dtype=jnp.int32))[1:]
