"""MinED: maps the teacher's distribution to the student's vocabulary, by nearest tokens in edit distance."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxkd.data.text.paired_text import PairedText
from jaxkd.distillation.label_loss import label_loss
from jaxkd.distillation.parts import Part
from jaxkd.distillation.recipe import Distillation
from jaxkd.distillation.vocabulary_tables import NEAREST, NearestTokenTable
from jaxkd.kernels.linear.minimum_edit import linear_minimum_edit, moved_head
from jaxkd.losses import ForwardKL
from jaxkd.losses.reduce import mean_weights, reported
from jaxkd.records import LossOutput, PairedBatch, Variables
from jaxkd.typing import Key, Params


@dataclasses.dataclass(frozen=True, kw_only=True)
class MinED(Distillation):
    """loss = (1 - kd_rate) * CE(label, q) + kd_rate * D(q, p'), over the student's targets.

    Where dynamic time warping matches a target with only one of the teacher's, and their tokens are nearest in edit
    distance, p' is the teacher's distribution, each probability moved to the nearest token of the student's vocabulary;
    elsewhere p' is the label.  D is the forward KL at `temperature`.

    Source: Wan et al., FuseLLM (arXiv 2401.10491), section 3.2; checked against the baseline of
    songmzhang/DSKD@077337a.  Deviation: tokens are compared by the bytes that they stand for.
    """

    data: PairedText
    temperature: float = 2.0
    """Divisor of the logits of student and teacher in the divergence, > 0."""

    @property
    def text(self) -> PairedText:
        return dataclasses.replace(self.data, match="edit distance")

    def loss(self, variables: Variables, batch: PairedBatch, counts: dict[str, Array], key: Key) -> LossOutput:
        ours = batch.student
        student, teacher = self.hiddens(variables, batch, key)
        weights = mean_weights(ours.loss_mask, counts["targets"])
        label_term = label_loss(student, ours, rate=1 - self.kd_rate, count=counts["targets"])

        nats = linear_minimum_edit(
            student,
            dataclasses.replace(teacher, head=variables.derived["head"]),
            teacher_positions=self._positions(batch),
            labels=ours.labels,
            weights=self.kd_rate * weights,
            divergence=ForwardKL(),
            temperature=self.temperature,
        )
        aligned = ours.loss_mask & (self._positions(batch) >= 0)
        metrics = {
            **label_term.metrics,
            "aligned": reported(aligned.astype(jnp.float32), ours.loss_mask),
            "divergence": reported(nats.divergence, aligned),
        }
        return LossOutput(loss=label_term.total + nats.total, state=variables.state, metrics=metrics)

    def prepare(self, variables: Variables) -> Params:
        """Return the teacher's head with rows in the order of the student's vocabulary."""
        _, head = self.heads(variables)
        return {"head": moved_head(head, variables.frozen[NEAREST]["teacher_of_student"])}

    def validate(self) -> None:
        super().validate()
        if not self.temperature > 0:
            raise ValueError(f"temperature must be > 0, got {self.temperature}.")
        if self.teacher.config().logit_softcap is not None:
            raise ValueError(
                f"teacher must be without a soft-cap of its logits in MinED, got {self.teacher.path}, whose missing "
                "tokens would have a finite logit. Use ULD or DSKDCrossAttention."
            )

    def _positions(self, batch: PairedBatch) -> Int[Array, "b k"]:
        if batch.teacher_positions is None:
            raise ValueError("batch must have teacher_positions, got none. Make it of the recipe's text.")
        return batch.teacher_positions

    def parts(self) -> dict[str, Part]:
        return super().parts() | {NEAREST: NearestTokenTable(student=self.student, teacher=self.teacher)}
