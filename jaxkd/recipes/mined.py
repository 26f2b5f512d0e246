"""MinED: the teacher's distribution in the student's vocabulary, through the nearest tokens by edit distance."""

import dataclasses
from typing import TYPE_CHECKING

import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxkd import forward, frozen_teacher, frozen_vocabulary, trainable
from jaxkd.alignment.minimum_edit import linear_minimum_edit, moved_head
from jaxkd.data.pairs import PairedText
from jaxkd.kernels import linear_cross_entropy
from jaxkd.losses import ForwardKL
from jaxkd.losses.reduce import mean_weights, reported
from jaxkd.models import decoder
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
class MinED(Recipe):
    """loss = (1 - kd_rate) * CE(label, q) + kd_rate * D(q, p'), over the student's targets.

    Where dynamic time warping matches a target with one of the teacher's alone, and their tokens are nearest by edit
    distance, p' is the teacher's distribution, each probability moved to the nearest token of the student's vocabulary;
    elsewhere p' is the label.  D is the forward KL at `temperature`.

    Source: Wan et al., FuseLLM (arXiv 2401.10491), section 3.2; checked against the baseline of
    songmzhang/DSKD@077337a.  Deviation: tokens are compared by the bytes that they stand for.
    """

    student: Pretrained
    teacher: Pretrained
    data: PairedText
    kd_rate: float = 0.5
    """Share of the divergence in the loss, in (0, 1)."""
    temperature: float = 2.0
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
            "cross_entropy": reported(gold.cross_entropy, ours.loss_mask),
            "accuracy": reported((gold.argmax == ours.labels).astype(jnp.float32), ours.loss_mask),
            "aligned": reported(aligned.astype(jnp.float32), ours.loss_mask),
            "divergence": reported(nats.divergence, aligned),
        }
        return LossOutput(loss=gold.total + nats.total, state=variables.state, metrics=metrics)

    def prepare(self, variables: Variables) -> Params:
        """The teacher's head, its rows those of the student's vocabulary."""
        head = decoder.head(self.teacher.config(), variables.frozen["teacher"])
        return {"head": moved_head(head, variables.frozen["nearest_tokens"]["teacher_of_student"])}

    def counts(self, batch: PairedBatch) -> dict[str, Array]:
        return {"targets": jnp.sum(batch.student.loss_mask)}

    def validate(self) -> None:
        if not 0 < self.kd_rate < 1:
            raise ValueError(f"kd_rate must be in (0, 1), got {self.kd_rate}. Without the teacher it is SFT.")
        if not self.temperature > 0:
            raise ValueError(f"temperature must be > 0, got {self.temperature}.")
        if self.teacher.config().logit_softcap is not None:
            raise ValueError(
                f"teacher must be without a soft-cap of its logits in MinED, got {self.teacher.path}, whose missing "
                "tokens would have a finite logit. Use ULD or DSKDCrossAttention."
            )
        self.data.check_fits(self.student, self.teacher)

    def abstract(self) -> Variables:
        student = trainable.abstract(self._config(), self.student)
        teacher = frozen_teacher.abstract(self.teacher, cached=self.teacher_cache is not None)
        teacher |= frozen_vocabulary.abstract_nearest(self.student)
        return student.replace(frozen=student.frozen | teacher)

    def init(self, key: Key) -> Variables:
        student = trainable.init(self._config(), self.student, key)
        return student.replace(frozen=student.frozen | self._load_teacher())

    def load_frozen(self) -> Params:
        return self.load_student_base() | self._load_teacher()

    def load_student_base(self) -> Params:
        return trainable.load_frozen(self._config(), self.student)

    def abstract_batch(self) -> PairedBatch:
        return self.data.abstract_batch(
            teacher_width=self.teacher.config().width if self.teacher_cache else None, match="edit distance"
        )

    def batches(
        self, split: "Split", seed: int, *, process_index: int = 0, process_count: int = 1
    ) -> "grain.IterDataset":
        return self.data.training_stream(
            split,
            self.student,
            self.teacher,
            seed,
            match="edit distance",
            teacher_cache=self.teacher_cache,
            process_index=process_index,
            process_count=process_count,
        )

    def student_model(self, variables: Variables) -> LanguageModel:
        return trainable.language_model(self._config(), self.student, variables)

    def provenance(self) -> str:
        return f"student: {self.student.provenance()}; teacher: {self.teacher.provenance()}"

    def _positions(self, batch: PairedBatch) -> Int[Array, "b k"]:
        if batch.teacher_positions is None:
            raise ValueError('batch must have teacher_positions, got none. Make it with match="edit distance".')
        return batch.teacher_positions

    def _load_teacher(self) -> Params:
        teacher = frozen_teacher.load(self.teacher, cached=self.teacher_cache is not None)
        return teacher | frozen_vocabulary.load_nearest(self.student, self.teacher)

    def _config(self) -> DecoderConfig:
        return dataclasses.replace(self.student.config(), dropout=self.dropout, lora=self.lora)
