"""Pairs of tokens by index: the first with the first, the second with the second."""

import jax.numpy as jnp

from jaxkd.alignment.positions import NO_POSITION, by_row, pairs_of
from jaxkd.records import Alignment, TokenSpans


def align_by_index(student: TokenSpans, teacher: TokenSpans) -> Alignment:
    """Pair the tokens (i, j) that have the same index within one segment, whatever their text.

    Args:
        student: the student's tokens; their spans are not read.
        teacher: the teacher's tokens, over the same rows.

    Returns:
        int32; slot i belongs to the student's token i, so there is one slot per student position.

    Raises:
        ValueError: sides with different leading axes.

    Source: ULD (arXiv 2402.12030), section 3: both answers are truncated to the shorter one.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxkd.records import TokenSpans
        >>> def tokens(segments):
        ...     ids = jnp.array(segments)
        ...     return TokenSpans(starts=jnp.zeros_like(ids), ends=jnp.zeros_like(ids), segment_ids=ids)
        >>> pairs = align_by_index(tokens([1, 1, 1, 2]), tokens([1, 1, 2, 2, 0]))
        >>> pairs.student.tolist(), pairs.teacher.tolist(), pairs.mask.tolist()
        ([0, 1, 0, 3], [0, 1, 0, 2], [True, True, False, True])
    """
    return by_row(_align, student, teacher)


def _align(student: TokenSpans, teacher: TokenSpans) -> Alignment:
    ours, theirs = student.segment_ids, jnp.where(teacher.segment_ids > 0, teacher.segment_ids, NO_POSITION)
    own = jnp.arange(ours.shape[0], dtype=jnp.int32)
    number = own - jnp.searchsorted(jnp.where(ours > 0, ours, NO_POSITION), ours).astype(jnp.int32)
    indices = jnp.searchsorted(theirs, ours).astype(jnp.int32) + number
    last = jnp.maximum(theirs.shape[0] - 1, 0)
    inside = (indices <= last) & (theirs.shape[0] > 0)
    indices = jnp.minimum(indices, last)
    paired = (ours > 0) & inside
    if theirs.shape[0]:
        paired &= theirs[indices] == ours
    return pairs_of(indices, paired)
