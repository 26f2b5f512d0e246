"""GOLD: compares groups of tokens with equal bytes, by token where both vocabularies have it, else by rank."""

import dataclasses
import functools

import jax.numpy as jnp
from jaxtyping import Array

from jaxkd.alignment import chunk_values
from jaxkd.alignment.chunks import chunks
from jaxkd.data.text.paired_text import PairedText
from jaxkd.distillation import forward
from jaxkd.distillation.recipe import Distillation
from jaxkd.kernels import SeparableDivergence, SharedTokens, linear_hybrid_distance, linear_log_probs
from jaxkd.losses import AnyDivergence, JensenShannon
from jaxkd.losses.reduce import mean_weights, reported
from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.records import LossOutput, Mean, PairedBatch, Variables
from jaxkd.tokenizers import vocabulary
from jaxkd.typing import Key


@dataclasses.dataclass(frozen=True, kw_only=True)
class GOLD(Distillation):
    """loss = (1 - kd_rate) * CE(label, q) + kd_rate * sum_g (m * D(Q_g, P_g) + u * sum_r abs(P_g,r - Q_g,r)).

    A group g is the fewest tokens on both sides that stand for the same bytes.  By the chain rule, Q_g(v) is the
    student's probability of the group's first tokens followed by v, with the distribution at the last token given its
    actual prefix; P_g is the teacher's.  D is a divergence over the shared tokens; r are the ranks of all others.  m is
    the shared fraction of the teacher's vocabulary, and u = 1 - m.  All terms are divided by the number of the
    student's targets.

    Source: Patiño et al., Unlocking On-Policy Distillation for Any Model Family (2025); checked against
    huggingface/trl@f2cd577 with `uld_use_hybrid_loss=True` and `uld_token_merge_strategy="bayesian"`.  That code's
    default, "observed", takes the distribution after the group's first token and multiplies it by probabilities read
    one token too late; it is not offered.  Deviation: groups and shared tokens by bytes, where that code compares
    spellings; the end of an answer is a group, which it leaves out; one denominator, where it takes the mean over
    groups of each sequence; no lower bound of 1e-8 on probabilities, which visibly moves that code's values and
    gradients where a distribution is sharp; ranks beyond `top` are compared as one.  The temperature is 1, its default.
    """

    data: PairedText
    divergence: AnyDivergence = JensenShannon()
    """Divergence D: a sum over the vocabulary, at temperature 1."""
    matched_weight: float | None = None
    """Weight m, at least 0; None for the share of the teacher's tokens that the student has.  Set with
    `unmatched_weight`."""
    unmatched_weight: float | None = None
    """Weight u, at least 0; None for 1 - m."""
    top: int | None = 8192
    """Number of ranks compared one by one; the metric `tail_bound` bounds the contribution of the others."""

    def loss(self, variables: Variables, batch: PairedBatch, counts: dict[str, Array], key: Key) -> LossOutput:
        ours, theirs = batch.student, batch.teacher
        student, teacher = self.hiddens(variables, batch, key)
        learnt = linear_log_probs(student, ours.labels, mask=ours.loss_mask)
        label_term = -jnp.sum((1 - self.kd_rate) * mean_weights(ours.loss_mask, counts["targets"]) * learnt.values)

        our_groups, their_groups = chunks(batch.student_spans, batch.teacher_spans)
        ends = chunk_values.ends(our_groups, their_groups)
        slots = ends.mask.shape[-1]
        our_leads = chunk_values.leads(our_groups, ends.student)
        their_leads = chunk_values.leads(their_groups, ends.teacher)
        taught = linear_log_probs(teacher, theirs.labels, mask=their_leads)
        matched_weight, unmatched_weight = self._weights()
        distance = linear_hybrid_distance(
            forward.gather_positions(student, ends.student),
            forward.gather_positions(teacher, ends.teacher),
            student_log_scale=chunk_values.sums(jnp.where(our_leads, learnt.values, 0.0), our_groups, slots=slots),
            teacher_log_scale=chunk_values.sums(taught.values, their_groups, slots=slots),
            weights=self.kd_rate * mean_weights(ends.mask, counts["targets"]),
            shared=_shared(self.student, self.teacher),
            divergence=self._summed(),
            matched_weight=matched_weight,
            unmatched_weight=unmatched_weight,
            top=self.top,
        )
        targets = jnp.sum(ours.loss_mask)
        metrics = {
            "cross_entropy": reported(-learnt.values, ours.loss_mask),
            "accuracy": reported((learnt.argmax == ours.labels).astype(jnp.float32), ours.loss_mask),
            "in_groups": Mean(total=jnp.sum(our_groups > 0, dtype=jnp.float32), count=targets),
            "groups": Mean(total=jnp.sum(ends.mask, dtype=jnp.float32), count=targets),
            "matched": reported(distance.matched, ends.mask),
            "unmatched": reported(distance.unmatched, ends.mask),
            "tail_bound": reported(distance.tail_bound, ends.mask),
        }
        return LossOutput(loss=label_term + distance.total, state=variables.state, metrics=metrics)

    def validate(self) -> None:
        super().validate()
        self._summed()
        given = self.matched_weight, self.unmatched_weight
        if (given[0] is None) != (given[1] is None):
            raise ValueError(
                f"matched_weight and unmatched_weight must be given together, got {given[0]} and {given[1]}."
            )
        if any(weight is not None and weight < 0 for weight in given):
            raise ValueError(f"matched_weight and unmatched_weight must be at least 0, got {given[0]} and {given[1]}.")
        if self.top is not None and self.top < 1:
            raise ValueError(f"top must be at least 1, or None for all ranks, got {self.top}.")

    def _weights(self) -> tuple[float, float]:
        """Return the weights of the shared tokens and of the others."""
        if self.matched_weight is not None and self.unmatched_weight is not None:
            return self.matched_weight, self.unmatched_weight
        relation = vocabulary.relation(self.student, self.teacher)
        share = relation.shared / relation.teacher_size
        return share, 1 - share

    def _summed(self) -> SeparableDivergence:
        if not isinstance(self.divergence, SeparableDivergence) or self.divergence.temperature != 1:
            raise ValueError(
                f"divergence must be a sum over the vocabulary and of temperature 1, got {self.divergence}. It is "
                "taken over a part of the vocabulary."
            )
        return self.divergence


@functools.lru_cache(maxsize=8)
def _shared(student: Pretrained, teacher: Pretrained) -> SharedTokens:
    """Return the shared tokens of two checkpoints, the same object on each call."""
    relation = vocabulary.relation(student, teacher)
    return SharedTokens(student_ids=relation.student_ids, teacher_ids=relation.teacher_ids)
