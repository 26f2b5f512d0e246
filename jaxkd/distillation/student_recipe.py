"""Base class of recipes that train one student, whole or by adapters, and hold further frozen parts."""

import dataclasses

from jaxkd.distillation import forward, student_params
from jaxkd.distillation.parts import Part, abstract_parts, load_parts
from jaxkd.models.checkpoints.language_model import LanguageModel
from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.models.transformer.lora import LoRA
from jaxkd.records import Hiddens, TokenBatch, Variables
from jaxkd.training.recipe import Count, Curve, Recipe
from jaxkd.typing import Key, Params

ANSWER_TOKENS = Count(name="targets", word="tokens", column="answer tokens\ntrained on")
"""Count of methods that train a language model."""

NATS = "nats a token"
"""Unit of cross entropies and divergences."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudentRecipe(Recipe):
    """Method that trains one student, whole or by adapters.

    A subclass adds its data, its hyper-parameters and `loss`, and `parts` if its loss reads other models or tables.
    """

    student: Pretrained
    """Checkpoint from which training starts."""
    lora: LoRA | None = None
    """Adapters to train beside the student's frozen checkpoint; None trains all of its parameters."""
    dropout: float = 0.0
    """Probability that an activation of the student is dropped in training, at least 0 and below 1; 0 drops none."""
    remat: bool = False
    """Recompute the student's activations in the backward pass: less memory, more time, the same result."""

    def abstract(self) -> Variables:
        student = student_params.abstract(self.student_config(), self.student)
        return student.replace(frozen=student.frozen | abstract_parts(self.parts()))

    def init(self, key: Key) -> Variables:
        student = student_params.init(self.student_config(), self.student, key)
        return student.replace(frozen=student.frozen | load_parts(self.parts()))

    def load_frozen(self) -> Params:
        return self.load_base() | load_parts(self.parts())

    def load_base(self) -> Params:
        return student_params.load_frozen(self.student_config(), self.student)

    @property
    def counted(self) -> Count:
        return ANSWER_TOKENS

    def curves(self) -> tuple[Curve, ...]:
        return (
            Curve(metric="cross_entropy", title="Cross entropy", unit=NATS),
            Curve(metric="divergence", title="Divergence from the teacher", unit=NATS),
            Curve(metric="t2s_divergence", title="Divergence in the student's space", unit=NATS),
            Curve(metric="s2t_divergence", title="Divergence in the teacher's space", unit=NATS),
            Curve(metric="accuracy", title="Accuracy", unit="share of the labels"),
            Curve(metric="aligned", title="Aligned positions", unit="share of the targets"),
            Curve(metric="t2s_cross_entropy", unit=NATS),
        )

    def parts(self) -> dict[str, Part]:
        """Return the frozen variables besides the student's base, by name.  Default: none."""
        return {}

    def model(self, variables: Variables) -> LanguageModel:
        return student_params.language_model(self.student_config(), self.student, variables)

    def student_hiddens(self, variables: Variables, batch: TokenBatch, key: Key | None) -> Hiddens:
        """Return the student's hidden states at a batch's targets, in training.  Without a key there is no dropout."""
        return forward.hiddens(
            self.student_config(), student_params.student(variables), batch, key=key, remat=self.remat
        )

    def student_config(self) -> DecoderConfig:
        """Return the checkpoint's architecture with the dropout and adapters of training."""
        return dataclasses.replace(self.student.config(), dropout=self.dropout, lora=self.lora)
