"""Logit distillation: the student learns the teacher's whole next-token distribution."""

import dataclasses
from typing import TYPE_CHECKING

import jax.numpy as jnp
from jaxtyping import Array

from jaxkd import forward, frozen_teacher, trainable
from jaxkd.data import vocabulary
from jaxkd.data.text import PackedText
from jaxkd.kernels import linear_divergence
from jaxkd.losses import AnyDivergence, ForwardKL
from jaxkd.losses.reduce import mean_weights, reported
from jaxkd.models.config import DecoderConfig
from jaxkd.models.language_model import LanguageModel
from jaxkd.models.lora import LoRA
from jaxkd.models.pretrained import Pretrained
from jaxkd.recipe import Recipe
from jaxkd.records import LossOutput, TokenBatch, Variables
from jaxkd.typing import Key, Params

if TYPE_CHECKING:
    import grain

    from jaxkd.data.examples import Split


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogitKD(Recipe):
    """loss = mean over the response tokens of (1 - kd_rate) * CE(label) + kd_rate * D(q, p).

    D compares the student's distribution q with the teacher's p, by default with KL(p || q) at temperature 2; the
    cross entropy is at temperature 1.  Heads that are padded differently are compared over the rows that they share.

    Source: Hinton et al. (arXiv 1503.02531), section 2; checked against the same-vocabulary
    baseline of songmzhang/DSKD@077337a.  Deviation from Hinton: no temperature^2 factor on the
    divergence, as in that baseline; raise `kd_rate` instead.
    """

    student: Pretrained
    teacher: Pretrained
    data: PackedText
    kd_rate: float = 0.5
    """Share of the divergence in the loss, in [0, 1]."""
    divergence: AnyDivergence = ForwardKL(temperature=2.0)
    teacher_cache: str | None = None
    """Folder that a `Cache` stage wrote, "stage:NAME" within a study, or None for a live teacher."""
    lora: LoRA | None = None
    """Train adapters beside the student's frozen checkpoint; None trains all of it."""
    dropout: float = 0.0
    remat: bool = False

    def loss(self, variables: Variables, batch: TokenBatch, counts: dict[str, Array], key: Key) -> LossOutput:
        student = forward.hiddens(self._config(), trainable.student(variables), batch, key=key, remat=self.remat)
        teacher = forward.teacher(self.teacher.config(), variables.frozen["teacher"], batch)
        shared = vocabulary.compared_size(self.student, self.teacher)
        student, teacher = forward.leading_tokens(student, shared), forward.leading_tokens(teacher, shared)
        weights = mean_weights(batch.loss_mask, counts["targets"])
        nats = linear_divergence(
            student,
            teacher,
            weights=self.kd_rate * weights,
            divergence=self.divergence,
            labels=batch.labels,
            label_weights=(1 - self.kd_rate) * weights,
        )
        metrics = {
            "cross_entropy": reported(nats.cross_entropy, batch.loss_mask),
            "divergence": reported(nats.divergence, batch.loss_mask),
            "accuracy": reported((nats.argmax == batch.labels).astype(jnp.float32), batch.loss_mask),
        }
        return LossOutput(loss=nats.total, state=variables.state, metrics=metrics)

    def counts(self, batch: TokenBatch) -> dict[str, Array]:
        return {"targets": jnp.sum(batch.loss_mask)}

    def validate(self) -> None:
        if not 0 <= self.kd_rate <= 1:
            raise ValueError(f"kd_rate must be in [0, 1], got {self.kd_rate}.")
        for model in (self.student, self.teacher):
            self.data.check_fits(model.config())
        vocabulary.require_shared(self.student, self.teacher, method="LogitKD")

    def abstract(self) -> Variables:
        student = trainable.abstract(self._config(), self.student)
        return student.replace(
            frozen=student.frozen | frozen_teacher.abstract(self.teacher, cached=self.teacher_cache is not None)
        )

    def init(self, key: Key) -> Variables:
        student = trainable.init(self._config(), self.student, key)
        teacher = frozen_teacher.load(self.teacher, cached=self.teacher_cache is not None)
        return student.replace(frozen=student.frozen | teacher)

    def load_frozen(self) -> Params:
        return self.load_student_base() | frozen_teacher.load(self.teacher, cached=self.teacher_cache is not None)

    def load_student_base(self) -> Params:
        return trainable.load_frozen(self._config(), self.student)

    def abstract_batch(self) -> TokenBatch:
        return self.data.abstract_batch(teacher_width=self.teacher.config().width if self.teacher_cache else None)

    def batches(
        self, split: "Split", seed: int, *, process_index: int = 0, process_count: int = 1
    ) -> "grain.IterDataset":
        return self.data.shared_stream(
            split,
            self.student,
            self.teacher,
            seed,
            teacher_cache=self.teacher_cache,
            process_index=process_index,
            process_count=process_count,
        )

    def student_model(self, variables: Variables) -> LanguageModel:
        return trainable.language_model(self._config(), self.student, variables)

    def provenance(self) -> str:
        return f"student: {self.student.provenance()}; teacher: {self.teacher.provenance()}"

    def _config(self) -> DecoderConfig:
        return dataclasses.replace(self.student.config(), dropout=self.dropout, lora=self.lora)
