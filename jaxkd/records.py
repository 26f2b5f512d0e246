"""The records that cross function boundaries: plain dataclasses, registered as pytrees."""

import dataclasses
from typing import Any, Self

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxkd.typing import Params, Scalar


def _static(**kwargs: Any) -> Any:
    """A field that is part of a record's tree structure, not one of its leaves."""
    return dataclasses.field(metadata={"static": True}, **kwargs)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Head:
    """The prediction head: what turns a hidden state into logits.

    `logits = softcap * tanh(scale * (hidden @ weight.T + bias) / softcap)`; without a soft-cap the
    tanh is left out.  Rows at and beyond `vocab_size` pad the matrix and have logit -inf.
    """

    weight: Float[Array, "v d"]
    bias: Float[Array, " v"] | None = None
    scale: float = _static(default=1.0)
    softcap: float | None = _static(default=None)
    vocab_size: int = _static()


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Hiddens:
    """Hidden states after the final norm, and the head that reads them.  Logits are never stored."""

    values: Float[Array, "*tokens d"]
    head: Head


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class TopK:
    """A teacher's distributions, kept as their k likeliest tokens and one bucket for all others."""

    ids: Int[Array, "*tokens k"]
    """Distinct token ids; one outside [0, vocab_size) is no token."""
    log_probs: Float[Array, "*tokens k"]
    """Of those tokens under the whole distribution: not renormalised; -inf where the id is no token."""
    log_tail: Float[Array, "*tokens"]
    """Log of the probability of all other tokens together; -inf where there are none."""
    temperature: float = _static(default=1.0)
    """Of the distributions.  A tail cannot be brought to another temperature afterwards."""
    vocab_size: int = _static()


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class ComposedTeacher:
    """A teacher whose logits are a linear combination, at each position another, of those of frozen models."""

    models: tuple[Hiddens, ...]
    """At the same positions and of one vocabulary; widths and heads may differ.  At least one."""
    coefficients: Float[Array, "*tokens m"]
    """What each model's logits are multiplied by; of any sign and sum."""


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

    written: Any
    """A `TokenBatch` or a `PairedBatch`."""
    given: TokenBatch | None
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


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Mean:
    """A mean that has not been divided yet, so that parts of a batch add up without bias."""

    total: Scalar
    count: Scalar

    def __add__(self, other: "Mean") -> "Mean":
        return Mean(total=self.total + other.total, count=self.count + other.count)

    def value(self) -> Scalar:
        """`total / count`, and 0 where nothing was counted."""
        return self.total / jnp.maximum(self.count, 1)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class LossOutput:
    """What a recipe's `loss` returns."""

    loss: Scalar
    """Already divided by `counts`: the gradients of micro-batches are simply added."""
    state: Params
    metrics: dict[str, Mean]
    """Gradient-stopped."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rollout:
    """What `Recipe.rollout` returns, on the host."""

    batch: Any
    """This process's rows of a global batch, as NumPy arrays."""
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    """Of how it was made."""
    kept: Params | None = None
    """`Variables.kept` from now on, on every process the same; None leaves it as it is."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Variables:
    """Everything a recipe's loss reads besides the batch."""

    params: Params
    """Trainable leaves only.  Its top-level keys are the optimizer's groups."""
    state: Params = dataclasses.field(default_factory=dict)
    """Buffers that a step may change; they pass through micro-batches in order."""
    frozen: Params = dataclasses.field(default_factory=dict)
    """Teachers, references and tables: an argument of the step, never trained, never in a checkpoint."""
    kept: Params = dataclasses.field(default_factory=dict)
    """What rollouts keep from step to step, whole on every device.  Rollouts and validations change it; no loss reads
    it, so that it can be read while a step runs."""
    derived: Params = dataclasses.field(default_factory=dict)
    """What `Recipe.prepare` made from the rest for this optimizer step; gradient-stopped."""
    step: Int[Array, ""] | int = 0

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields replaced."""
        return dataclasses.replace(self, **changes)
