"""Supervised fine-tuning: cross entropy on the response, without a teacher; every method's control."""

import dataclasses
from typing import TYPE_CHECKING

import jax.numpy as jnp
from jaxtyping import Array

from jaxkd.data.text.packed_text import PackedText
from jaxkd.distillation.label_loss import label_loss
from jaxkd.distillation.student_recipe import StudentRecipe
from jaxkd.records import LossOutput, TokenBatch, Variables
from jaxkd.sharding import WHOLE, Share
from jaxkd.typing import Key, Split

if TYPE_CHECKING:
    import grain


@dataclasses.dataclass(frozen=True, kw_only=True)
class SFT(StudentRecipe):
    """loss = mean over the response tokens of the whole batch of -log q(label).

    Source: inferred; the hard-label term of Hinton et al. (arXiv 1503.02531), section 2.
    """

    data: PackedText
    """Text to learn from."""

    def loss(self, variables: Variables, batch: TokenBatch, counts: dict[str, Array], key: Key) -> LossOutput:
        label_term = label_loss(self.student_hiddens(variables, batch, key), batch, rate=1.0, count=counts["targets"])
        return LossOutput(loss=label_term.total, state=variables.state, metrics=label_term.metrics)

    def counts(self, batch: TokenBatch) -> dict[str, Array]:
        return {"targets": jnp.sum(batch.loss_mask)}

    def validate(self) -> None:
        self.data.check_fits(self.student.config())

    def abstract_batch(self) -> TokenBatch:
        return self.data.abstract_batch()

    def batches(self, split: Split, seed: int, *, share: Share = WHOLE) -> "grain.IterDataset":
        return self.data.training_stream(split, self.student.tokenizer(), seed, share=share)

    def provenance(self) -> str:
        return f"student: {self.student.provenance()}; no teacher"
