"""Base class of distillation recipes: a student in training, a frozen teacher, and their text."""

import dataclasses
from typing import TYPE_CHECKING, ClassVar

import jax.numpy as jnp
from jaxtyping import Array

from jaxkd.data.text.packed_text import PackedText
from jaxkd.data.text.paired_text import PairedText
from jaxkd.distillation import forward, student_params
from jaxkd.distillation.frozen_model import TEACHER, FrozenModel
from jaxkd.distillation.parts import Part
from jaxkd.distillation.student_recipe import StudentRecipe
from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.models.transformer import decoder
from jaxkd.records import Head, Hiddens, PairedBatch, TokenBatch, Variables
from jaxkd.sharding import WHOLE, Share
from jaxkd.tokenizers import vocabulary
from jaxkd.training.recipe import Batch
from jaxkd.typing import Key, Split

if TYPE_CHECKING:
    import grain


@dataclasses.dataclass(frozen=True, kw_only=True)
class Distillation(StudentRecipe):
    """Method in which a student learns from one frozen teacher, live or cached.

    A subclass adds its hyper-parameters and `loss`.  `data` decides whether both models read the same tokens
    (`PackedText`) or each its own (`PairedText`); a method that supports only one of them narrows the field's type.
    """

    teacher: Pretrained
    """Frozen model to learn from."""
    data: PackedText | PairedText
    """Text to learn from, in the tokens of both models."""
    kd_rate: float = 0.5
    """Share of the teacher's terms in the loss, in (0, 1]; the rest is the cross entropy of the labels."""
    teacher_cache: str | None = None
    """Folder written by a `Cache` stage for the teacher, "stage:NAME" in a study; None runs the teacher live."""

    teacher_reads: ClassVar[tuple[str, ...]] = ()
    """Parameters of the teacher that the loss reads besides its head, loaded even if the teacher is cached."""

    @property
    def text(self) -> PackedText | PairedText:
        """Text that the batches are made of; `data` by default."""
        return self.data

    def validate(self) -> None:
        if not 0 < self.kd_rate <= 1:
            raise ValueError(f"kd_rate must be in (0, 1], got {self.kd_rate}. Without the teacher it is SFT.")
        self.text.require_readers(self.student, self.teacher, method=type(self).__name__)

    def require_live_teacher(self, why: str) -> None:
        """Reject a cached teacher, for a method that needs more of it than a cache holds.

        Raises:
            ValueError: a cached teacher; the message ends with `why`.
        """
        if self.teacher_cache is not None:
            raise ValueError(f"teacher_cache must be None in {type(self).__name__}, got {self.teacher_cache!r}. {why}")

    def abstract_batch(self) -> Batch:
        return self.text.abstract_batch(teacher_width=self.teacher.config().width if self._cached else None)

    def batches(self, split: Split, seed: int, *, share: Share = WHOLE) -> "grain.IterDataset":
        return self.text.distillation_stream(
            split,
            self.student,
            self.teacher,
            seed,
            teacher_cache=self.teacher_cache,
            share=share,
        )

    def counts(self, batch: Batch) -> dict[str, Array]:
        ours = batch.student if isinstance(batch, PairedBatch) else batch
        return {"targets": jnp.sum(ours.loss_mask)}

    def provenance(self) -> str:
        return f"student: {self.student.provenance()}; teacher: {self.teacher.provenance()}"

    def hiddens(
        self, variables: Variables, batch: TokenBatch | PairedBatch, key: Key | None
    ) -> tuple[Hiddens, Hiddens]:
        """Return the hidden states of student and teacher at their targets, the teacher's gradient-stopped.

        Heads over one vocabulary are truncated to the rows that both have, however each is padded.  Without a key there
        is no dropout.
        """
        ours, theirs = (batch.student, batch.teacher) if isinstance(batch, PairedBatch) else (batch, batch)
        student = self.student_hiddens(variables, ours, key)
        teacher = forward.teacher(self.teacher.config(), variables.frozen[TEACHER], theirs)
        if isinstance(batch, PairedBatch):
            return student, teacher
        shared = vocabulary.common_prefix_size(self.student, self.teacher)
        return forward.truncate_vocabulary(student, shared), forward.truncate_vocabulary(teacher, shared)

    def heads(self, variables: Variables) -> tuple[Head, Head]:
        """Return the current heads of student and teacher."""
        student = decoder.head(self.student_config(), student_params.student(variables))
        return student, decoder.head(self.teacher.config(), variables.frozen[TEACHER])

    def parts(self) -> dict[str, Part]:
        teacher = FrozenModel(checkpoint=self.teacher, cached=self._cached, also=self.teacher_reads)
        return super().parts() | {TEACHER: teacher}

    @property
    def _cached(self) -> bool:
        return self.teacher_cache is not None
