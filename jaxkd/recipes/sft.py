"""Supervised fine-tuning: cross entropy on the response and no teacher.  Every method's control."""

import dataclasses
from typing import TYPE_CHECKING

import jax.numpy as jnp
from jaxtyping import Array

from jaxkd import forward, trainable
from jaxkd.data.text import PackedText
from jaxkd.label_loss import label_loss
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
class SFT(Recipe):
    """loss = mean over the response tokens of the whole batch of -log q(label).

    Source: inferred; the hard-label term of Hinton et al. (arXiv 1503.02531), section 2.
    """

    student: Pretrained
    data: PackedText
    lora: LoRA | None = None
    """Train adapters beside the frozen checkpoint; None trains all of it."""
    dropout: float = 0.0
    remat: bool = False

    def loss(self, variables: Variables, batch: TokenBatch, counts: dict[str, Array], key: Key) -> LossOutput:
        hiddens = forward.hiddens(self._config(), trainable.student(variables), batch, key=key, remat=self.remat)
        gold = label_loss(hiddens, batch, rate=1.0, count=counts["targets"])
        return LossOutput(loss=gold.total, state=variables.state, metrics=gold.metrics)

    def counts(self, batch: TokenBatch) -> dict[str, Array]:
        return {"targets": jnp.sum(batch.loss_mask)}

    def validate(self) -> None:
        self.data.check_fits(self.student.config())

    def abstract(self) -> Variables:
        return trainable.abstract(self._config(), self.student)

    def init(self, key: Key) -> Variables:
        return trainable.init(self._config(), self.student, key)

    def load_frozen(self) -> Params:
        return self.load_student_base()

    def load_student_base(self) -> Params:
        return trainable.load_frozen(self._config(), self.student)

    def abstract_batch(self) -> TokenBatch:
        return self.data.abstract_batch()

    def batches(
        self, split: "Split", seed: int, *, process_index: int = 0, process_count: int = 1
    ) -> "grain.IterDataset":
        return self.data.training_stream(
            split, self.student.tokenizer(), seed, process_index=process_index, process_count=process_count
        )

    def student_model(self, variables: Variables) -> LanguageModel:
        return trainable.language_model(self._config(), self.student, variables)

    def provenance(self) -> str:
        return f"student: {self.student.provenance()}; no teacher"

    def _config(self) -> DecoderConfig:
        return dataclasses.replace(self.student.config(), dropout=self.dropout, lora=self.lora)
