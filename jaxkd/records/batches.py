"""Batches of tokens, and how the tokens of two models correspond."""

import dataclasses
from typing import Any

import jax
from jaxtyping import Array, Bool, Float, Int


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenBatch:
    """Packed rows of tokens, and the positions whose hidden state predicts a label.

    A row holds one or more examples; `segment_ids` numbers them from 1 and is 0 on padding, and
    attention never crosses a segment.  `labels` are shifted already: `labels[b, k]` is the token
    that follows `tokens[b, target_positions[b, k]]`.
    """

    tokens: Int[Array, "b t"]
    positions: Int[Array, "b t"]
    """Place within the example, from 0."""
    segment_ids: Int[Array, "b t"]
    target_positions: Int[Array, "b k"]
    """Column of `tokens`; 0 where `loss_mask` is False."""
    labels: Int[Array, "b k"]
    loss_mask: Bool[Array, "b k"]
    example_ids: Int[Array, "b k"]
    """Index of the example that a target belongs to; -1 where `loss_mask` is False."""
    teacher: Float[Array, "b k d"] | None = None
    """The teacher's final hidden states at the targets, where a cache filled them in."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class OnPolicyBatch:
    """Prompts with answers that the student wrote, and the same rows with the answers of the data."""

    on_policy: Any
    """A `TokenBatch` or a `PairedBatch`."""
    off_policy: TokenBatch | None
    """In the student's tokens; None where nothing is learnt from it."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class PreferenceBatch:
    """Pairs of answers to one prompt: pair p of a row, counted from 0, is its segments 2 p + 1 and 2 p + 2."""

    answers: TokenBatch
    """The chosen answer of a pair, with its prompt, and then the rejected one with the same prompt.  The two have an
    even and the next odd number as `example_ids`."""
    probability: Float[Array, "b p"]
    """That the chosen answer is the better one."""
    weights: Float[Array, "b p"]
    """How much a pair counts; 0 where there is none."""
    reference: Float[Array, "b p 2"] | None = None
    """Log-probabilities of both answers under a reference model, in nats, where a cache filled them in."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenSpans:
    """Which bytes of a text each token stands for, in rows that hold one or more texts.

    The tokens of a row stand in the order of the texts, so that `segment_ids` ascend along it, and the
    places without a token come last.  A token that stands for no text has an empty span, `starts == ends`.
    """

    starts: Int[Array, "*b k"]
    """In bytes from the beginning of the segment's text."""
    ends: Int[Array, "*b k"]
    """The byte behind the last one."""
    segment_ids: Int[Array, "*b k"]
    """Numbered from 1, the same text by the same number on both sides; 0 where there is no token."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class PairedBatch:
    """The same examples as the tokens of two models: row by row and segment by segment the same texts."""

    student: TokenBatch
    teacher: TokenBatch
    student_spans: TokenSpans
    """Of the student's labels, `[b k]` as they are."""
    teacher_spans: TokenSpans
    """Of the teacher's labels."""
    teacher_positions: Int[Array, "b k"] | None = None
    """The teacher's target that each of the student's is matched with by edit distance, -1 without one; where asked."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Alignment:
    """Pairs of a student's and a teacher's tokens: ascending on both sides, each token at most once.

    There are `p = min(k_student, k_teacher)` slots, one for each place of the shorter side, and `mask` says
    which of them hold a pair.
    """

    student: Int[Array, "*b p"]
    """Place among the student's tokens; 0 where `mask` is False."""
    teacher: Int[Array, "*b p"]
    """Place among the teacher's tokens; 0 where `mask` is False."""
    mask: Bool[Array, "*b p"]
