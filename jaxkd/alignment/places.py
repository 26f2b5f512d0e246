"""What the alignments by byte share: tokens as ascending numbers, and finding one number among many."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from jaxkd.records import Alignment, TokenSpans

Result = TypeVar("Result")

_NOWHERE = jnp.iinfo(jnp.int32).max


def by_row(align: Callable[[TokenSpans, TokenSpans], Result], student: TokenSpans, teacher: TokenSpans) -> Result:
    """`align`, which is written for one row, over all leading axes.

    Raises:
        ValueError: sides with different leading axes.
    """
    rows, others = student.starts.shape[:-1], teacher.starts.shape[:-1]
    if rows != others:
        raise ValueError(
            f"student and teacher must hold the same rows, got spans of shape {student.starts.shape} and "
            f"{teacher.starts.shape}. Only the last axis, the tokens of a row, may differ."
        )
    for _ in rows:
        align = jax.vmap(align)
    return align(*jax.tree.map(jnp.asarray, (student, teacher)))


def stands_for_text(spans: TokenSpans) -> Bool[Array, " k"]:
    """Whether a token is there and its span is not empty."""
    return (spans.segment_ids > 0) & (spans.ends > spans.starts)


def stride(student: TokenSpans, teacher: TokenSpans) -> Int[Array, ""]:
    """More than any byte position of a row, so that `segment * stride + byte` orders all bytes of its texts."""
    return 1 + jnp.maximum(jnp.max(student.ends, initial=0), jnp.max(teacher.ends, initial=0)).astype(jnp.int32)


def ascending(numbers: Int[Array, " k"], counts: Bool[Array, " k"]) -> Int[Array, " k"]:
    """`numbers` as they are where they count, and elsewhere the next one that counts, so that the whole ascends."""
    return jax.lax.cummin(jnp.where(counts, numbers, _NOWHERE).astype(jnp.int32), reverse=True)


def last_up_to(numbers: Int[Array, " k"], ascending: Int[Array, " m"]) -> Int[Array, " k"]:
    """The place of the last of `ascending` that does not exceed each of `numbers`; 0 where all do.

    A bisection that is written out: log2(m) gathers, and no step depends on a comparison.
    """
    size = ascending.shape[0]
    count = jnp.zeros(numbers.shape, jnp.int32)
    for bit in reversed(range(size.bit_length())):
        longer = count + (1 << bit)
        reached = ascending.at[jnp.minimum(longer, size) - 1].get(mode="promise_in_bounds")
        count = jnp.where((longer <= size) & (reached <= numbers), longer, count)
    return jnp.maximum(count - 1, 0)


def pairs(places: Int[Array, " k"], paired: Bool[Array, " k"], size: int) -> Alignment:
    """The pairs `(i, places[i])` where `paired`, moved to the front of `size` slots."""
    slots = jnp.where(paired, jnp.cumsum(paired) - 1, size)
    none = jnp.zeros(size, jnp.int32)
    student = none.at[slots].set(jnp.arange(places.shape[0], dtype=jnp.int32), mode="drop", unique_indices=True)
    teacher = none.at[slots].set(places, mode="drop", unique_indices=True)
    return Alignment(student=student, teacher=teacher, mask=jnp.arange(size) < jnp.sum(paired))
