"""Logit distillation: the student learns the teacher's whole next-token distribution."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import jax.numpy as jnp
from jaxtyping import Array

from jaxkd import forward, trainable
from jaxkd.cache import HiddenCache
from jaxkd.data import vocabulary
from jaxkd.data.text import PackedText
from jaxkd.kernels import linear_divergence
from jaxkd.losses import ForwardKL
from jaxkd.losses.reduce import mean_weights, reported
from jaxkd.models import decoder
from jaxkd.models.config import DecoderConfig
from jaxkd.models.language_model import LanguageModel
from jaxkd.models.lora import LoRA
from jaxkd.models.pretrained import Pretrained
from jaxkd.recipe import Recipe
from jaxkd.records import Hiddens, LossOutput, TokenBatch, Variables
from jaxkd.typing import Key, Params

if TYPE_CHECKING:
    import grain
    from transformers import PreTrainedTokenizerBase

    from jaxkd.data.examples import Split

_OTHER_METHODS = (
    "Different vocabularies take a cross-vocabulary method: DSKD with cross-model attention, DSKDv2 with exact token "
    "alignment, ULD or MinED."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogitKD(Recipe):
    """loss = mean over the response tokens of (1 - kd_rate) * CE(label) + kd_rate * KL(p_T || q_T).

    `p_T` and `q_T` are the teacher's and the student's distributions at `temperature`; the cross
    entropy is at temperature 1.  Heads that are padded differently are compared over the rows that
    they share.

    Source: Hinton et al. (arXiv 1503.02531), section 2; checked against the same-vocabulary
    baseline of songmzhang/DSKD@077337a.  Deviation from Hinton: no temperature^2 factor on the
    divergence, as in that baseline; raise `kd_rate` instead.
    """

    student: Pretrained
    teacher: Pretrained
    data: PackedText
    kd_rate: float = 0.5
    """Share of the divergence in the loss, in [0, 1]."""
    temperature: float = 2.0
    teacher_cache: str | None = None
    """Folder that a `Cache` stage wrote, "stage:NAME" within a study, or None for a live teacher."""
    lora: LoRA | None = None
    """Train adapters beside the student's frozen checkpoint; None trains all of it."""
    dropout: float = 0.0
    remat: bool = False

    def loss(self, variables: Variables, batch: TokenBatch, counts: dict[str, Array], key: Key) -> LossOutput:
        student = forward.hiddens(self._config(), trainable.student(variables), batch, key=key, remat=self.remat)
        teacher = forward.teacher(self.teacher.config(), variables.frozen["teacher"], batch)
        student, teacher = self._shared(student), self._shared(teacher)
        weights = mean_weights(batch.loss_mask, counts["targets"])
        nats = linear_divergence(
            student,
            teacher,
            weights=self.kd_rate * weights,
            divergence=ForwardKL(temperature=self.temperature),
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
        if not self.temperature > 0:
            raise ValueError(f"temperature must be > 0, got {self.temperature}.")
        for model in (self.student, self.teacher):
            self.data.check_fits(model.config())
        if self._shared_size() == 0:
            raise ValueError(
                f"student and teacher must share one vocabulary in LogitKD, got {self.student.path} and "
                f"{self.teacher.path}. {vocabulary.between(self.student, self.teacher)} {_OTHER_METHODS}"
            )

    def abstract(self) -> Variables:
        student = trainable.abstract(self._config(), self.student)
        teacher = self._teacher_params(self.teacher.abstract_placed())
        return student.replace(frozen=student.frozen | {"teacher": teacher})

    def init(self, key: Key) -> Variables:
        student = trainable.init(self._config(), self.student, key)
        return student.replace(frozen=student.frozen | self._load_teacher())

    def load_frozen(self) -> Params:
        return self.load_student_base() | self._load_teacher()

    def load_student_base(self) -> Params:
        return trainable.load_frozen(self._config(), self.student)

    def abstract_batch(self) -> TokenBatch:
        return self.data.abstract_batch(teacher_width=self.teacher.config().width if self.teacher_cache else None)

    def batches(
        self, split: "Split", seed: int, *, process_index: int = 0, process_count: int = 1
    ) -> "grain.IterDataset":
        tokenizer = self.student.tokenizer()
        self._check_tokens(split, tokenizer)
        cache = None
        if self.teacher_cache is not None:
            cache = HiddenCache(Path(self.teacher_cache), self.data.identity(split, self.teacher, tokenizer))
        return self.data.training_stream(
            split, tokenizer, seed, cache=cache, process_index=process_index, process_count=process_count
        )

    def student_model(self, variables: Variables) -> LanguageModel:
        return trainable.language_model(self._config(), self.student, variables)

    def provenance(self) -> str:
        return f"student: {self.student.provenance()}; teacher: {self.teacher.provenance()}"

    def _shared_size(self) -> int:
        """Leading rows that mean the same in both heads; 0 where the vocabularies differ."""
        if self.student.path == self.teacher.path:
            return self.student.config().vocab_size
        return vocabulary.between(self.student, self.teacher).shared_size

    def _shared(self, hiddens: Hiddens) -> Hiddens:
        """The same hidden states, read by the shared rows of their head alone."""
        return dataclasses.replace(hiddens, head=dataclasses.replace(hiddens.head, vocab_size=self._shared_size()))

    def _check_tokens(self, split: "Split", tokenizer: "PreTrainedTokenizerBase") -> None:
        """Refuse a text with a token that one of the heads lacks: JAX would read another row, without a word."""
        size = self._shared_size()
        for example in self.data.tokenized(split, tokenizer):
            if (token := int(example.tokens.max())) >= size:
                raise ValueError(
                    f"every token of the text must be among the {size} that student and teacher share, got {token} "
                    f"({tokenizer.convert_ids_to_tokens(token)!r}) in example {example.key} of the {split} split. "
                    "Take it out of the text, or out of the student's tokenizer."
                )

    def _config(self) -> DecoderConfig:
        return dataclasses.replace(self.student.config(), dropout=self.dropout, lora=self.lora)

    def _load_teacher(self) -> Params:
        names = self._teacher_params(decoder.abstract(self.teacher.config()))
        return {"teacher": self.teacher.load_placed(only=names)}

    def _teacher_params(self, params: Params) -> Params:
        """All of the teacher, or its head alone where its hidden states come from a cache."""
        return params if self.teacher_cache is None else decoder.head_params(self.teacher.config(), params)
