"""ULD: distributions over any two vocabularies, compared rank by rank."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array

from jaxkd.alignment.by_index import align_by_index
from jaxkd.data.text.paired_text import PairedText
from jaxkd.distillation import forward
from jaxkd.distillation.label_loss import label_loss
from jaxkd.distillation.recipe import Distillation
from jaxkd.kernels import linear_rank_distance
from jaxkd.losses.reduce import mean_weights, reported
from jaxkd.records import LossOutput, PairedBatch, Variables
from jaxkd.typing import Key


@dataclasses.dataclass(frozen=True, kw_only=True)
class ULD(Distillation):
    """loss = (1 - kd_rate) * CE(label, q) + kd_rate * sum_r abs(p_r - q_r), over the student's targets.

    p_r and q_r are the probabilities of the teacher's and the student's token of rank r, so no token need be in both
    vocabularies.  Target i of an answer in the student's tokens is compared with target i in the teacher's.

    Source: Boizard et al. (arXiv 2402.12030), section 3; checked against the baseline of songmzhang/DSKD@077337a.
    Deviation: ranks beyond `top` are compared as one; None compares all.
    """

    data: PairedText
    top: int | None = 8192
    """Number of ranks compared one by one; the metric `tail_bound` bounds the contribution of the others."""

    def loss(self, variables: Variables, batch: PairedBatch, counts: dict[str, Array], key: Key) -> LossOutput:
        ours = batch.student
        student, teacher = self.hiddens(variables, batch, key)
        label_term = label_loss(student, ours, rate=1 - self.kd_rate, count=counts["targets"])

        pairs = align_by_index(batch.student_spans, batch.teacher_spans)
        compared = pairs.mask & ours.loss_mask  # slot i is the student's target i
        ranks = linear_rank_distance(
            forward.gather_positions(student, pairs.student),
            forward.gather_positions(teacher, pairs.teacher),
            weights=self.kd_rate * mean_weights(compared, counts["targets"]),
            top=self.top,
        )
        metrics = {
            **label_term.metrics,
            "compared": reported(compared.astype(jnp.float32), ours.loss_mask),
            "rank_distance": reported(ranks.distance, compared),
            "tail_bound": reported(ranks.tail_bound, compared),
        }
        return LossOutput(loss=label_term.total + ranks.total, state=variables.state, metrics=metrics)

    def validate(self) -> None:
        super().validate()
        if self.top is not None and self.top < 1:
            raise ValueError(f"top must be at least 1, or None for all ranks, got {self.top}.")
