"""ULD: distributions over any two vocabularies, compared rank by rank."""

import dataclasses
from typing import TYPE_CHECKING

import jax.numpy as jnp
from jaxtyping import Array

from jaxkd import forward, frozen_teacher, trainable
from jaxkd.alignment.in_order import align_in_order
from jaxkd.data.pairs import PairedText
from jaxkd.kernels import linear_cross_entropy, linear_rank_distance
from jaxkd.losses.reduce import mean_weights, reported
from jaxkd.models.config import DecoderConfig
from jaxkd.models.language_model import LanguageModel
from jaxkd.models.lora import LoRA
from jaxkd.models.pretrained import Pretrained
from jaxkd.recipe import Recipe
from jaxkd.records import LossOutput, PairedBatch, Variables
from jaxkd.typing import Key, Params

if TYPE_CHECKING:
    import grain

    from jaxkd.data.examples import Split


@dataclasses.dataclass(frozen=True, kw_only=True)
class ULD(Recipe):
    """loss = (1 - kd_rate) * CE(label, q) + kd_rate * sum_r abs(p_r - q_r), over the student's targets.

    p_r and q_r are the probabilities of the teacher's and the student's token of rank r, so no token need be in both
    vocabularies.  Target number i of an answer of the student's is compared with number i of the teacher's.

    Source: Boizard et al. (arXiv 2402.12030), section 3; checked against the baseline of songmzhang/DSKD@077337a.
    Deviation: ranks beyond `top` are compared as one; None compares all.
    """

    student: Pretrained
    teacher: Pretrained
    data: PairedText
    kd_rate: float = 0.5
    """Share of the distance in the loss, in (0, 1)."""
    top: int | None = 8192
    """Ranks that are compared one by one; the metric `tail_bound` says what the others may add at most."""
    teacher_cache: str | None = None
    """Folder that a `Cache` stage wrote from `data.teacher`, "stage:NAME" in a study, or None for a live teacher."""
    lora: LoRA | None = None
    """Train adapters beside the student's frozen checkpoint; None trains all of it."""
    dropout: float = 0.0
    remat: bool = False

    def loss(self, variables: Variables, batch: PairedBatch, counts: dict[str, Array], key: Key) -> LossOutput:
        ours, theirs = batch.student, batch.teacher
        student = forward.hiddens(self._config(), trainable.student(variables), ours, key=key, remat=self.remat)
        teacher = forward.teacher(self.teacher.config(), variables.frozen["teacher"], theirs)
        weights = mean_weights(ours.loss_mask, counts["targets"])
        gold = linear_cross_entropy(student, ours.labels, weights=(1 - self.kd_rate) * weights)

        pairs = align_in_order(batch.student_spans, batch.teacher_spans)
        compared = pairs.mask & ours.loss_mask  # slot i is that of the student's target i
        ranks = linear_rank_distance(
            forward.at(student, pairs.student),
            forward.at(teacher, pairs.teacher),
            weights=self.kd_rate * mean_weights(compared, counts["targets"]),
            top=self.top,
        )
        metrics = {
            "cross_entropy": reported(gold.cross_entropy, ours.loss_mask),
            "accuracy": reported((gold.argmax == ours.labels).astype(jnp.float32), ours.loss_mask),
            "compared": reported(compared.astype(jnp.float32), ours.loss_mask),
            "rank_distance": reported(ranks.distance, compared),
            "tail_bound": reported(ranks.tail_bound, compared),
        }
        return LossOutput(loss=gold.total + ranks.total, state=variables.state, metrics=metrics)

    def counts(self, batch: PairedBatch) -> dict[str, Array]:
        return {"targets": jnp.sum(batch.student.loss_mask)}

    def validate(self) -> None:
        if not 0 < self.kd_rate < 1:
            raise ValueError(f"kd_rate must be in (0, 1), got {self.kd_rate}. Without the teacher it is SFT.")
        if self.top is not None and self.top < 1:
            raise ValueError(f"top must be at least 1, or None for all ranks, got {self.top}.")
        self.data.check_fits(self.student, self.teacher)

    def abstract(self) -> Variables:
        student = trainable.abstract(self._config(), self.student)
        teacher = frozen_teacher.abstract(self.teacher, cached=self.teacher_cache is not None)
        return student.replace(frozen=student.frozen | teacher)

    def init(self, key: Key) -> Variables:
        student = trainable.init(self._config(), self.student, key)
        return student.replace(frozen=student.frozen | self._load_teacher())

    def load_frozen(self) -> Params:
        return self.load_student_base() | self._load_teacher()

    def load_student_base(self) -> Params:
        return trainable.load_frozen(self._config(), self.student)

    def abstract_batch(self) -> PairedBatch:
        return self.data.abstract_batch(teacher_width=self.teacher.config().width if self.teacher_cache else None)

    def batches(
        self, split: "Split", seed: int, *, process_index: int = 0, process_count: int = 1
    ) -> "grain.IterDataset":
        return self.data.training_stream(
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

    def _load_teacher(self) -> Params:
        return frozen_teacher.load(self.teacher, cached=self.teacher_cache is not None)

    def _config(self) -> DecoderConfig:
        return dataclasses.replace(self.student.config(), dropout=self.dropout, lora=self.lora)
