"""Pairs of tokens that stand for the same bytes."""

import jax.numpy as jnp

from jaxkd.alignment.places import ascending, by_row, last_up_to, pairs, stands_for_text, stride
from jaxkd.records import Alignment, TokenSpans


def align(student: TokenSpans, teacher: TokenSpans) -> Alignment:
    """The pairs (i, j) of tokens of one segment with equal spans that are not empty.

    What precedes both tokens of a pair is the same text, to the byte, and so are the tokens.  The end
    of a response is paired by the same rule where the data gave it the byte behind the text
    (`jaxkd.data.byte_spans.with_end`).  To pair "the" with " the", give spans without leading spaces
    (`jaxkd.data.byte_spans.without_leading_space`).

    Args:
        student: spans of the student's tokens.  Spans of one segment must not overlap.
        teacher: spans of the teacher's, over the same rows.  In a row, the number of segments times the
            bytes of the longest text must stay below 2^31.

    Returns:
        The pairs in their order, int32.  Exchanged sides give the same pairs.  It takes
        O((n + m) log(n + m)) operations and no loop over tokens.

    Raises:
        ValueError: sides with different leading axes.

    Source: the exact token alignment of DSKDv2 (arXiv 2504.11426).  Deviation: byte spans in place of
    accumulated strings, so newlines, emoji and spaces do not break it; `greedy.align_greedily` is the
    original rule.

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
        >>> pairs = align(student, teacher)
        >>> pairs.student.tolist(), pairs.teacher.tolist(), pairs.mask.tolist()
        ([2, 3, 0], [1, 2, 0], [True, True, False])
    """
    return by_row(_align, student, teacher)


def _align(student: TokenSpans, teacher: TokenSpans) -> Alignment:
    """Of one row."""
    room = min(student.starts.shape[0], teacher.starts.shape[0])
    if room == 0:
        return pairs(jnp.zeros(0, jnp.int32), jnp.zeros(0, jnp.bool_), 0)
    texts = stride(student, teacher)
    numbers = ascending(teacher.segment_ids * texts + teacher.starts, stands_for_text(teacher))
    places = last_up_to(student.segment_ids * texts + student.starts, numbers)
    equal = stands_for_text(student) & stands_for_text(teacher)[places]
    for ours, theirs in (
        (student.starts, teacher.starts),
        (student.ends, teacher.ends),
        (student.segment_ids, teacher.segment_ids),
    ):
        equal &= ours == theirs[places]
    return pairs(places, equal, room)
