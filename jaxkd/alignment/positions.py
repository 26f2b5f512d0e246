"""Helpers of the alignments by byte: tokens as ascending numbers, and a search among them."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from jaxkd.records import Alignment, TokenSpans

Result = TypeVar("Result")

NO_POSITION = jnp.iinfo(jnp.int32).max
"""Sentinel: a number above all byte positions."""


def by_row(align: Callable[[TokenSpans, TokenSpans], Result], student: TokenSpans, teacher: TokenSpans) -> Result:
    """Apply `align`, which is written for one row, over all leading axes.

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
    """Return whether there is a token and its span is not empty."""
    return (spans.segment_ids > 0) & (spans.ends > spans.starts)


def stride(student: TokenSpans, teacher: TokenSpans) -> Int[Array, ""]:
    """Return more than any byte position of a row, so that `segment * stride + byte` orders all bytes of its texts."""
    longest = [jnp.max(side.ends, initial=0, where=stands_for_text(side)) for side in (student, teacher)]
    return 1 + jnp.maximum(*longest).astype(jnp.int32)


def last_up_to(numbers: Int[Array, " k"], ascending: Int[Array, " m"]) -> Int[Array, " k"]:
    """Find the position of the last of `ascending` that does not exceed each of `numbers`; 0 if all do.

    It bisects in log2(m) steps, each a gather for all of `numbers`.
    """
    bits = ascending.shape[0].bit_length()
    # With a length of one less than a power of two, no step leaves the array.
    padded = jnp.pad(ascending, (0, (1 << bits) - 1 - ascending.shape[0]), constant_values=NO_POSITION)

    def step(done: Int[Array, ""], count: Int[Array, " k"]) -> Int[Array, " k"]:
        size = jnp.left_shift(1, bits - 1 - done)
        reached = padded.at[count + size - 1].get(mode="promise_in_bounds")
        return jnp.where(reached <= numbers, count + size, count)

    # A loop, although it is short: unrolled, XLA fuses all steps into one kernel that does much of the work twice.
    count = jax.lax.fori_loop(0, bits, step, jnp.zeros(numbers.shape, jnp.int32))
    return jnp.clip(count - 1, 0, ascending.shape[0] - 1)


def exchanged(alignment: Alignment) -> Alignment:
    """Return the same pairs with the sides swapped."""
    return Alignment(student=alignment.teacher, teacher=alignment.student, mask=alignment.mask)


def pairs_of(indices: Int[Array, " p"], paired: Bool[Array, " p"]) -> Alignment:
    """Return the pairs `(i, indices[i])` where `paired`: a slot for each of the student's tokens."""
    own = jnp.arange(indices.shape[0], dtype=jnp.int32)
    return Alignment(student=jnp.where(paired, own, 0), teacher=jnp.where(paired, indices, 0), mask=paired)
