"""ALM: matches the likelihoods of the text chunks at whose ends both tokenizers have a token boundary."""

import dataclasses
import functools
import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxkd.alignment import chunk_values
from jaxkd.alignment.chunks import chunks
from jaxkd.data.text.paired_text import PairedText
from jaxkd.distillation import forward
from jaxkd.distillation.recipe import Distillation
from jaxkd.distillation.student_recipe import NATS
from jaxkd.kernels import SeparableDivergence, linear_log_probs
from jaxkd.losses import AnyDivergence, ForwardKL, binary_divergence, event_log_probs
from jaxkd.losses.reduce import mean_weights, reported
from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.records import Hiddens, LossOutput, Mean, PairedBatch, Variables
from jaxkd.tokenizers import pieces
from jaxkd.training.recipe import Curve
from jaxkd.typing import Key

BOUNDARIES = (b" ", b"\t", b"\n")
"""Bytes that a tokenizer with word-level pre-tokenization never joins with the preceding text."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ALM(Distillation):
    """loss = (1 - kd_rate) * CE(label, q) + kd_rate * t * sum_c D(q(c)^(1/t), p(c)^(1/t)), t the temperature.

    A chunk c is the shortest span of text that is whole tokens on both sides, and p(c) and q(c) are the products of its
    tokens' probabilities.  D compares two outcomes: this chunk, or any other.  A tokenizer that would have continued
    with a longer token shows it in the distribution after the chunk.  So both probabilities include a boundary after
    the chunk (a space, tab, newline or special token), and chunks are merged until the teacher gives that boundary more
    than `boundary_threshold`.  Both terms are divided by the number of the student's targets.

    Source: Minixhofer, Vulić & Ponti (arXiv 2503.20083), the binarised f-divergence between aligned chunks and the
    debiasing of outcome chunks; that and its threshold were taken from bminixhofer/tokenkit@bcacdef
    (`merge_by_space_prob+append_space`), which notes that the paper's first version differed.  Deviation: chunks by
    bytes; the factor `temperature`, without which D falls as 1 / temperature and the labels outweigh it, where that
    code balances gradients; targets, not chunks, in the denominator, since the number of merged chunks is known only
    after the teacher's forward pass; nothing is appended to the last chunk of a text, and the end is a chunk.
    """

    data: PairedText
    temperature: float = 100.0
    """Degree of the root taken of the probabilities, > 0."""
    divergence: AnyDivergence = ForwardKL()
    """Divergence D: a sum over the vocabulary, at temperature 1."""
    boundary_threshold: float | None = 0.1
    """Probability of a boundary above which a chunk may end, in [0, 1); None compares all chunks, without
    boundaries."""

    def loss(self, variables: Variables, batch: PairedBatch, counts: dict[str, Array], key: Key) -> LossOutput:
        ours, theirs = batch.student, batch.teacher
        student, teacher = self.hiddens(variables, batch, key)
        learnt = linear_log_probs(student, ours.labels, mask=ours.loss_mask)
        taught = linear_log_probs(teacher, theirs.labels, mask=theirs.loss_mask)
        label_term = -jnp.sum((1 - self.kd_rate) * mean_weights(ours.loss_mask, counts["targets"]) * learnt.values)

        our_chunks, their_chunks = chunks(batch.student_spans, batch.teacher_spans)
        ends = chunk_values.ends(our_chunks, their_chunks)
        slots = ends.mask.shape[-1]
        q = chunk_values.sums(learnt.values, our_chunks, slots=slots)
        p = chunk_values.sums(taught.values, their_chunks, slots=slots)
        compared = ends.mask
        if self.boundary_threshold is not None:
            has_next = chunk_values.has_next(ends, batch.student_spans.segment_ids)
            p_boundary = self._boundary(self.teacher, teacher, ends.teacher, has_next)
            closed = ~has_next | (p_boundary > _log(self.boundary_threshold))
            q_boundary = self._boundary(self.student, student, ends.student, has_next & closed)
            joined = chunk_values.merged(ends.mask, closed)
            q = chunk_values.sums(q + q_boundary, joined, slots=slots)
            p = chunk_values.sums(p + jnp.where(closed, p_boundary, 0.0), joined, slots=slots)
            compared = jnp.arange(slots)[None] < jnp.max(joined, axis=-1, keepdims=True)

        nats = self.temperature * binary_divergence(q, p, divergence=self._binary(), temperature=self.temperature)
        weights = self.kd_rate * mean_weights(compared, counts["targets"])
        targets = jnp.sum(ours.loss_mask)
        metrics = {
            "cross_entropy": reported(-learnt.values, ours.loss_mask),
            "accuracy": reported((learnt.argmax == ours.labels).astype(jnp.float32), ours.loss_mask),
            "in_chunks": Mean(total=jnp.sum(our_chunks > 0, dtype=jnp.float32), count=targets),
            "chunks": Mean(total=jnp.sum(compared, dtype=jnp.float32), count=targets),
            "chunk_divergence": reported(nats, compared),
        }
        return LossOutput(loss=label_term + jnp.sum(weights * nats), state=variables.state, metrics=metrics)

    def curves(self) -> tuple[Curve, ...]:
        return (*super().curves(), Curve(metric="chunk_divergence", unit=NATS))

    def validate(self) -> None:
        super().validate()
        if not self.temperature > 0:
            raise ValueError(f"temperature must be > 0, got {self.temperature}.")
        self._binary()
        if self.boundary_threshold is not None:
            self._require_boundaries(self.boundary_threshold)

    def _boundary(
        self, model: Pretrained, hiddens: Hiddens, ends: Int[Array, "b p"], asked: Bool[Array, "b p"]
    ) -> Float[Array, "b p"]:
        """Return the log-probability of a boundary after each chunk, at the target that follows it."""
        following = jnp.minimum(ends + 1, hiddens.values.shape[1] - 1)
        event = jnp.asarray(_boundary_tokens(model, hiddens.head.weight.shape[0]))
        return event_log_probs(forward.gather_positions(hiddens, following), event, mask=asked)

    def _binary(self) -> SeparableDivergence:
        if not isinstance(self.divergence, SeparableDivergence) or self.divergence.temperature != 1:
            raise ValueError(
                f"divergence must be a sum over the vocabulary and of temperature 1, got {self.divergence}. Set the "
                "temperature of ALM: it is a root, not a softmax's."
            )
        return self.divergence

    def _require_boundaries(self, threshold: float) -> None:
        if not 0 <= threshold < 1:
            raise ValueError(f"boundary_threshold must be in [0, 1), or None for chunks as they are, got {threshold}.")
        for name, model in (("student", self.student), ("teacher", self.teacher)):
            if model.config().logit_softcap is not None:
                raise ValueError(
                    f"{name} must be without a soft-cap of its logits, got {model.path}. The probability of a boundary "
                    "is computed by a head without the other tokens: set boundary_threshold=None."
                )


@functools.lru_cache(maxsize=8)
def _boundary_tokens(model: Pretrained, rows: int) -> Bool[np.ndarray, " v"]:
    """Mark the rows of a head whose token begins with a boundary or is special."""
    tokenizer = model.tokenizer()
    special = set(tokenizer.all_special_ids)
    tokens = pieces.token_bytes(tokenizer)
    ids = [index for index, text in tokens.items() if index in special or text.startswith(BOUNDARIES)]
    event = np.zeros(rows, bool)
    event[[index for index in ids if index < rows]] = True
    return event


def _log(probability: float) -> float:
    return math.log(probability) if probability > 0 else -math.inf
