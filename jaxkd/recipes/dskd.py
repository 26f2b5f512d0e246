"""DSKD, first version, for one vocabulary: compares teacher and student in each other's space."""

import dataclasses
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxkd import projector
from jaxkd.data.text.packed_text import PackedText
from jaxkd.distillation import dual_space, ideal_projectors, student_params
from jaxkd.distillation.dual_space import Spaces
from jaxkd.distillation.recipe import Distillation
from jaxkd.kernels import FROZEN_HEAD, linear_cross_entropy, linear_divergence
from jaxkd.losses import AnyDivergence, ForwardKL
from jaxkd.losses.reduce import mean_weights, reported
from jaxkd.records import Hiddens, LossOutput, TokenBatch, Variables
from jaxkd.tokenizers import vocabulary
from jaxkd.typing import Key, Params

ProjectorStart = Literal["random", "ideal"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DSKD(Distillation):
    """loss = mean over the response tokens of (1 - kd_rate) * CE(label, q) + kd_rate * dual.

    dual = CE(label, p_t2s) + D(q, p_t2s) + KL(p || q_s2t).  A trained projector maps the teacher's hidden states to the
    student's space, where the student's head turns them into p_t2s; another maps the student's to the teacher's space,
    where the teacher's head turns them into q_s2t.  So each comparison uses one head.  CE(label, p_t2s) trains the t2s
    projector alone, D(q, p_t2s) the student alone, and KL(p || q_s2t) the student's body and the s2t projector.

    The projectors form the optimizer group "projectors"; the paper gives them a learning rate of 1e-3.

    Source: Zhang et al. (arXiv 2406.17328), section 3.2; checked against songmzhang/DSKD@077337a.  Deviation: none; as
    there, no temperature^2 factor, the s2t divergence is the forward KL whatever D is, and one number of tokens divides
    the sum.
    """

    data: PackedText
    divergence: AnyDivergence = ForwardKL(temperature=2.0)
    """Divergence D in the student's space; its temperature applies in the teacher's space too."""
    spaces: Spaces = "both"
    """Spaces whose terms are in the loss, with one projector each."""
    projector_start: ProjectorStart = "random"
    """Start of both projectors: random, as in the paper, or "ideal", the least-squares fits that preserve the logits,
    as `DSKDv2` starts.  Both are trained from there."""

    def loss(self, variables: Variables, batch: TokenBatch, counts: dict[str, Array], key: Key) -> LossOutput:
        student, teacher = self.hiddens(variables, batch, key)
        weights = mean_weights(batch.loss_mask, counts["targets"])
        in_student, in_teacher = dual_space.rates(self.spaces, self.kd_rate)
        projectors = variables.params["projectors"]

        head = jax.lax.stop_gradient(student.head)
        t2s = Hiddens(values=projector.project(projectors["t2s"], teacher.values, batch.loss_mask), head=head)
        s2t = Hiddens(values=projector.project(projectors["s2t"], student.values, batch.loss_mask), head=teacher.head)

        t2s_nats = linear_cross_entropy(t2s, batch.labels, weights=in_student * weights, implementation=FROZEN_HEAD)
        nats = linear_divergence(
            student,
            jax.lax.stop_gradient(t2s),
            weights=in_student * weights,
            divergence=self.divergence,
            labels=batch.labels,
            label_weights=(1 - self.kd_rate) * weights,
        )
        s2t_nats = linear_divergence(
            s2t,
            teacher,
            weights=in_teacher * weights,
            divergence=ForwardKL(temperature=self.divergence.temperature),
            implementation=FROZEN_HEAD,
        )
        metrics = {
            "cross_entropy": reported(nats.cross_entropy, batch.loss_mask),
            "accuracy": reported((nats.argmax == batch.labels).astype(jnp.float32), batch.loss_mask),
            **dual_space.compared(
                self.spaces,
                {
                    "t2s_cross_entropy": reported(t2s_nats.cross_entropy, batch.loss_mask),
                    "t2s_accuracy": reported((t2s_nats.argmax == batch.labels).astype(jnp.float32), batch.loss_mask),
                    "t2s_divergence": reported(nats.divergence, batch.loss_mask),
                },
                {"s2t_divergence": reported(s2t_nats.divergence, batch.loss_mask)},
            ),
        }
        loss = nats.total + t2s_nats.total + s2t_nats.total
        return LossOutput(loss=loss, state=variables.state, metrics=metrics)

    def validate(self) -> None:
        super().validate()
        dual_space.require_spaces(self.spaces)
        if self.projector_start not in get_args(ProjectorStart):
            choices = ", ".join(get_args(ProjectorStart))
            raise ValueError(f"projector_start must be one of {choices}, got {self.projector_start!r}.")

    def abstract(self) -> Variables:
        return student_params.with_projectors(
            super().abstract(), jax.eval_shape(lambda: self._projectors(jax.random.key(0)))
        )

    def init(self, key: Key) -> Variables:
        student_key, projector_key = jax.random.split(key)
        variables, projectors = super().init(student_key), self._projectors(projector_key)
        if self.projector_start == "ideal":
            rows = vocabulary.common_prefix_size(self.student, self.teacher)
            fits = ideal_projectors.fits(*self.heads(variables), rows)
            projectors = {name: fits[name] | {"bias": jnp.zeros_like(projectors[name]["bias"])} for name in projectors}
        return student_params.with_projectors(variables, projectors)

    def _projectors(self, key: Key) -> dict[str, Params]:
        t2s_key, s2t_key = jax.random.split(key)
        student, teacher = self.student.config().width, self.teacher.config().width
        return {
            "t2s": projector.uniform_init(t2s_key, teacher, student),
            "s2t": projector.uniform_init(s2t_key, student, teacher),
        }
