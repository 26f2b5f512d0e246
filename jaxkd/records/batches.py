"""Batches of tokens, and alignments between the tokens of two models."""

import dataclasses
from typing import Any

import jax
from jaxtyping import Array, Bool, Float, Int


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenBatch:
    """Packed rows of tokens, and the positions whose hidden state predicts a label.

    A row holds one or more examples; `segment_ids` numbers them from 1 and is 0 on padding, and
    attention never crosses a segment.  `labels` are already shifted: `labels[b, k]` is the token
    that follows `tokens[b, target_positions[b, k]]`.
    """

    tokens: Int[Array, "b t"]
    positions: Int[Array, "b t"]
    """Position within the example, from 0."""
    segment_ids: Int[Array, "b t"]
    target_positions: Int[Array, "b k"]
    """Column of `tokens` for each target; 0 where `loss_mask` is False."""
    labels: Int[Array, "b k"]
    loss_mask: Bool[Array, "b k"]
    example_ids: Int[Array, "b k"]
    """Index of the example that a target belongs to; -1 where `loss_mask` is False."""
    teacher: Float[Array, "b k d"] | None = None
    """Final hidden states of the teacher at the targets, if a cache supplies them."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class OnPolicyBatch:
    """Prompts with answers that the student generated, and the same rows with the answers from the data."""

    on_policy: Any
    """Generated answers: a `TokenBatch` or a `PairedBatch`."""
    off_policy: TokenBatch | None
    """Answers from the data, in the student's tokens; None if the loss does not use them."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class PreferenceBatch:
    """Pairs of answers to one prompt: pair p of a row, from 0, is its segments 2 p + 1 and 2 p + 2."""

    answers: TokenBatch
    """Prompt and chosen answer of each pair, then the same prompt and the rejected answer.  Their `example_ids` are an
    even number and the next odd one."""
    probability: Float[Array, "b p"]
    """Probability that the chosen answer is the better one."""
    weights: Float[Array, "b p"]
    """Weight of each pair in the loss; 0 for an empty slot."""
    reference: Float[Array, "b p 2"] | None = None
    """Log-probabilities of both answers under a reference model, in nats, if a cache supplies them."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenSpans:
    """Byte span of each token in its text, in rows that hold one or more texts.

    The tokens of a row are in the order of the texts, so `segment_ids` ascend along it; positions without a token come
    last.  A token without text has an empty span, `starts == ends`.
    """

    starts: Int[Array, "*b k"]
    """First byte, counted from the beginning of the segment's text."""
    ends: Int[Array, "*b k"]
    """Byte after the last one."""
    segment_ids: Int[Array, "*b k"]
    """Number of the text, from 1, the same on both sides; 0 where there is no token."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class PairedBatch:
    """The same examples in the tokens of two models: each row and segment holds the same text on both sides."""

    student: TokenBatch
    teacher: TokenBatch
    student_spans: TokenSpans
    """Spans of the student's labels, also `[b k]`."""
    teacher_spans: TokenSpans
    """Spans of the teacher's labels."""
    teacher_positions: Int[Array, "b k"] | None = None
    """Teacher target matched to each student target by edit distance, -1 if there is none; None if not requested."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Alignment:
    """Pairs of a student's and a teacher's tokens: ascending on both sides, each token at most once.

    There are `p = min(k_student, k_teacher)` slots, one for each position of the shorter side; `mask` is True for those
    that hold a pair.
    """

    student: Int[Array, "*b p"]
    """Position among the student's tokens; 0 where `mask` is False."""
    teacher: Int[Array, "*b p"]
    """Position among the teacher's tokens; 0 where `mask` is False."""
    mask: Bool[Array, "*b p"]
