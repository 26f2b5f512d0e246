"""The shortest chunks of text that consist of whole tokens on both sides."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from jaxkd.alignment.positions import NO_POSITION, by_row, last_up_to, stands_for_text, stride
from jaxkd.records import TokenSpans


def chunks(student: TokenSpans, teacher: TokenSpans) -> tuple[Int[Array, "*b k"], Int[Array, "*b m"]]:
    """Number the chunks between the positions where a token ends on both sides.

    A chunk holds at least one token of each side, and the tokens that share a number cover the same text.  Tokens with
    equal spans, as `exact_token.align` pairs them, are chunks of one token each.

    Args:
        student: spans of the student's tokens.  Spans of one segment must not overlap.
        teacher: spans of the teacher's tokens, over the same rows.  In a row, the number of segments times the
            bytes of the longest text must stay below 2^31.

    Returns:
        The chunk number of each student token and of each teacher token: int32, from 1, ascending along the row.  0 for
        padding, for a token without text (so a bos on one side changes nothing), and after the last common end of a
        segment, if one side was truncated.

    Raises:
        ValueError: sides with different leading axes.

    Source: the greedy chunks of approximate likelihood matching (arXiv 2503.20083), inferred from its
    description.  Deviation: by byte offsets.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxkd.records import TokenSpans
        >>> one = jnp.ones(4, jnp.int32)
        >>> student = TokenSpans(  # "Ut", "il", "izing", and the end
        ...     starts=jnp.array([0, 2, 4, 9]), ends=jnp.array([2, 4, 9, 10]), segment_ids=one
        ... )
        >>> teacher = TokenSpans(  # "Util", "izing", and the end
        ...     starts=jnp.array([0, 4, 9]), ends=jnp.array([4, 9, 10]), segment_ids=one[:3]
        ... )
        >>> student_chunks, teacher_chunks = chunks(student, teacher)
        >>> student_chunks.tolist(), teacher_chunks.tolist()
        ([1, 1, 2, 3], [1, 2, 3])
    """
    return by_row(_chunks, student, teacher)


def _chunks(student: TokenSpans, teacher: TokenSpans) -> tuple[Int[Array, " k"], Int[Array, " m"]]:
    """Number the chunks of one row."""
    if 0 in (student.starts.shape[0], teacher.starts.shape[0]):
        return jnp.zeros(student.starts.shape, jnp.int32), jnp.zeros(teacher.starts.shape, jnp.int32)
    texts = stride(student, teacher)
    (ours, our_ends), (theirs, their_ends) = (
        (stands_for_text(side), side.segment_ids * texts + side.ends) for side in (student, teacher)
    )
    return (
        _numbers(ours, our_ends, _among(our_ends, ours, their_ends, theirs), student.segment_ids, texts),
        _numbers(theirs, their_ends, _among(their_ends, theirs, our_ends, ours), teacher.segment_ids, texts),
    )


def _among(
    ends: Int[Array, " k"], real: Bool[Array, " k"], others: Int[Array, " m"], real_others: Bool[Array, " m"]
) -> Bool[Array, " k"]:
    """Return whether a token of the other side ends at the same byte."""
    others = _next(others, real_others)
    return real & (others[last_up_to(ends, others)] == ends)


def _numbers(
    real: Bool[Array, " k"],
    ends: Int[Array, " k"],
    common: Bool[Array, " k"],
    segment_ids: Int[Array, " k"],
    texts: Int[Array, ""],
) -> Int[Array, " k"]:
    before = jnp.cumsum(common) - common
    # The next common end may belong to a later text: then this one was truncated on one side.
    closed = _next(ends, common) // texts == segment_ids
    return jnp.where(real & closed, 1 + before, 0).astype(jnp.int32)


def _next(ends: Int[Array, " k"], counts: Bool[Array, " k"]) -> Int[Array, " k"]:
    """Return the end of the next token that counts, itself included: an ascending list."""
    return jax.lax.cummin(jnp.where(counts, ends, NO_POSITION).astype(jnp.int32), reverse=True)
