"""DSKD, first version, one vocabulary: teacher and student are compared in each other's space."""

import dataclasses
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxkd import forward, frozen_teacher, projector, trainable
from jaxkd.data import vocabulary
from jaxkd.data.text import PackedText
from jaxkd.kernels import FROZEN_HEAD, linear_cross_entropy, linear_divergence
from jaxkd.losses import AnyDivergence, ForwardKL
from jaxkd.losses.reduce import mean_weights, reported
from jaxkd.models.config import DecoderConfig
from jaxkd.models.language_model import LanguageModel
from jaxkd.models.lora import LoRA
from jaxkd.models.pretrained import Pretrained
from jaxkd.recipe import Recipe
from jaxkd.records import Hiddens, LossOutput, TokenBatch, Variables
from jaxkd.typing import Key, Params

if TYPE_CHECKING:
    import grain

    from jaxkd.data.examples import Split


@dataclasses.dataclass(frozen=True, kw_only=True)
class DSKD(Recipe):
    """loss = mean over the response tokens of (1 - kd_rate) * CE(label, q) + kd_rate * dual.

    dual = CE(label, p_t2s) + D(q, p_t2s) + KL(p || q_s2t).  A trained projector takes the teacher's hidden states to
    the student's space, where its head reads them as p_t2s; another takes the student's to the teacher's space, where
    the teacher's head reads them as q_s2t.  So each comparison is made through one head.  CE(label, p_t2s) trains the
    t2s projector alone, D(q, p_t2s) the student alone, and KL(p || q_s2t) the student's body and the s2t projector.

    The projectors are the optimizer's group "projectors": the paper gives them a learning rate of 1e-3.

    Source: Zhang et al. (arXiv 2406.17328), section 3.2; checked against songmzhang/DSKD@077337a.  Deviation: none;
    as there, no temperature^2 factor, the s2t divergence is the forward KL whatever D is, and the sum is divided by
    one number of tokens.
    """

    student: Pretrained
    teacher: Pretrained
    data: PackedText
    kd_rate: float = 0.5
    """Share of the dual-space terms in the loss, in (0, 1]."""
    divergence: AnyDivergence = ForwardKL(temperature=2.0)
    """D, in the student's space.  Its temperature is that of the teacher's space too."""
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
        projectors = variables.params["projectors"]

        head = jax.lax.stop_gradient(student.head)
        t2s = Hiddens(values=projector.project(projectors["t2s"], teacher.values), head=head)
        s2t = Hiddens(values=projector.project(projectors["s2t"], student.values), head=teacher.head)

        t2s_nats = linear_cross_entropy(t2s, batch.labels, weights=self.kd_rate * weights, implementation=FROZEN_HEAD)
        nats = linear_divergence(
            student,
            jax.lax.stop_gradient(t2s),
            weights=self.kd_rate * weights,
            divergence=self.divergence,
            labels=batch.labels,
            label_weights=(1 - self.kd_rate) * weights,
        )
        s2t_nats = linear_divergence(
            s2t,
            teacher,
            weights=self.kd_rate * weights,
            divergence=ForwardKL(temperature=self.divergence.temperature),
            implementation=FROZEN_HEAD,
        )
        metrics = {
            "cross_entropy": reported(nats.cross_entropy, batch.loss_mask),
            "accuracy": reported((nats.argmax == batch.labels).astype(jnp.float32), batch.loss_mask),
            "t2s_cross_entropy": reported(t2s_nats.cross_entropy, batch.loss_mask),
            "t2s_accuracy": reported((t2s_nats.argmax == batch.labels).astype(jnp.float32), batch.loss_mask),
            "t2s_divergence": reported(nats.divergence, batch.loss_mask),
            "s2t_divergence": reported(s2t_nats.divergence, batch.loss_mask),
        }
        loss = nats.total + t2s_nats.total + s2t_nats.total
        return LossOutput(loss=loss, state=variables.state, metrics=metrics)

    def counts(self, batch: TokenBatch) -> dict[str, Array]:
        return {"targets": jnp.sum(batch.loss_mask)}

    def validate(self) -> None:
        if not 0 < self.kd_rate <= 1:
            raise ValueError(f"kd_rate must be in (0, 1], got {self.kd_rate}. Without the teacher it is SFT.")
        for model in (self.student, self.teacher):
            self.data.check_fits(model.config())
        vocabulary.require_shared(self.student, self.teacher, method="DSKD")

    def abstract(self) -> Variables:
        variables = trainable.abstract(self._config(), self.student)
        teacher = frozen_teacher.abstract(self.teacher, cached=self.teacher_cache is not None)
        variables = trainable.with_projectors(variables, jax.eval_shape(self._projectors, jax.random.key(0)))
        return variables.replace(frozen=variables.frozen | teacher)

    def init(self, key: Key) -> Variables:
        student_key, projector_key = jax.random.split(key)
        variables = trainable.init(self._config(), self.student, student_key)
        variables = trainable.with_projectors(variables, self._projectors(projector_key))
        return variables.replace(frozen=variables.frozen | self._load_teacher())

    def load_frozen(self) -> Params:
        return self.load_student_base() | self._load_teacher()

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

    def _projectors(self, key: Key) -> dict[str, Params]:
        t2s_key, s2t_key = jax.random.split(key)
        student, teacher = self.student.config().width, self.teacher.config().width
        return {
            "t2s": projector.uniform_init(t2s_key, teacher, student),
            "s2t": projector.uniform_init(s2t_key, student, teacher),
        }

    def _load_teacher(self) -> Params:
        return frozen_teacher.load(self.teacher, cached=self.teacher_cache is not None)

    def _config(self) -> DecoderConfig:
        return dataclasses.replace(self.student.config(), dropout=self.dropout, lora=self.lora)
