"""DSKDv2 for one vocabulary: compares teacher and student in each other's space, through ideal projectors."""

import dataclasses
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxkd import projector
from jaxkd.data.text.packed_text import PackedText
from jaxkd.distillation import dual_space, ideal_projectors
from jaxkd.distillation.dual_space import Spaces
from jaxkd.distillation.ideal_projectors import HeadFit
from jaxkd.distillation.recipe import Distillation
from jaxkd.kernels import FROZEN_HEAD, linear_argmax, linear_cross_entropy, linear_divergence
from jaxkd.losses import AnyDivergence, ForwardKL
from jaxkd.losses.reduce import mean_weights, reported
from jaxkd.records import Hiddens, LossOutput, Mean, TokenBatch, Variables
from jaxkd.tokenizers import vocabulary
from jaxkd.typing import Key, Params, Scalar

Normalisation = Literal["tokens", "reference"]

StudentTarget = Literal["projected", "teacher"]


class _Target(NamedTuple):
    """Distribution that the student's head learns, and what making it adds to the loss."""

    hiddens: Hiddens
    compared: Bool[Array, "b k"]
    weights: Float[Array, "b k"]
    loss: Scalar | float
    metrics: dict[str, Mean]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DSKDv2(Distillation):
    """loss = mean over the response tokens of (1 - kd_rate) * CE(label, q) + kd_rate * dual.

    dual = CE(y*, p_t2s) + [argmax p_t2s = y*] D(q, p_t2s) + D(q_s2t, p), with y* the teacher's argmax.  As in DSKD, the
    student's head turns the teacher's projected hidden states into p_t2s, and the teacher's head turns the student's
    into q_s2t.  Both projectors start as the least-squares fits that preserve the logits: P_t2s = H_t pinv(H_s), then
    trained as the optimizer group "projectors", and P_s2t = H_s pinv(H_t), recomputed from the student's head at every
    step.

    Source: Zhang et al. (arXiv 2504.11426), section 3; checked against songmzhang/DSKDv2@5025279.  Deviation: all terms
    are divided by the number of tokens, where that code divides the second by the agreeing tokens of a micro-batch
    (`normalisation="reference"`); pseudo-inverses are computed in float64, with `rtol` in place of torch's default.
    """

    data: PackedText
    divergence: AnyDivergence = ForwardKL(temperature=2.0)
    """Divergence D in both spaces."""
    normalisation: Normalisation = "tokens"
    """Denominator of the terms; with "tokens" the result does not depend on how a batch is split."""
    t2s_agreement: float = 1.0
    """Share of agreeing tokens above which `normalisation="reference"` compares all tokens."""
    rtol: float = projector.RTOL
    """Relative cutoff: a head's pseudo-inverse treats singular values up to this share of the largest as 0."""
    head_fit: HeadFit = "plain"
    """Quantity that the ideal projectors fit: the logits, as in the paper, or with "centred" the logits minus their
    mean, which is all that a softmax sees.  "centred" starts better if the rows of a head have a nonzero mean."""
    spaces: Spaces = "both"
    """Spaces whose terms are in the loss.  With "teacher" alone P_t2s learns nothing."""
    student_target: StudentTarget = "projected"
    """Distribution that the student's head learns: p_t2s, as in the paper, or with "teacher" the teacher's own p, as in
    `LogitKD`.  Then P_t2s learns nothing, and the first two terms of `dual` are D(q, p)."""

    def loss(self, variables: Variables, batch: TokenBatch, counts: dict[str, Array], key: Key) -> LossOutput:
        student, teacher = self.hiddens(variables, batch, key)
        weights = mean_weights(batch.loss_mask, counts["targets"])

        in_student, in_teacher = dual_space.rates(self.spaces, self.kd_rate)
        if self.student_target == "projected":
            target = self._projected(variables, batch, student, teacher, in_student * weights, counts)
        else:
            target = _Target(hiddens=teacher, compared=batch.loss_mask, weights=weights, loss=0.0, metrics={})
        nats = linear_divergence(
            student,
            jax.lax.stop_gradient(target.hiddens),
            weights=in_student * target.weights,
            divergence=self.divergence,
            labels=batch.labels,
            label_weights=(1 - self.kd_rate) * weights,
        )
        s2t_values = projector.project(variables.derived["s2t"], student.values, batch.loss_mask)
        s2t_nats = linear_divergence(
            Hiddens(values=s2t_values, head=teacher.head),
            teacher,
            weights=in_teacher * weights,
            divergence=self.divergence,
            implementation=FROZEN_HEAD,
        )
        divergence = "t2s_divergence" if self.student_target == "projected" else "divergence"
        metrics = dual_space.compared(
            self.spaces,
            target.metrics | {divergence: reported(nats.divergence, target.compared)},
            {"s2t_divergence": reported(s2t_nats.divergence, batch.loss_mask)},
        )
        if self.kd_rate < 1:  # the kernel skips positions of weight 0
            correct = nats.argmax == batch.labels
            metrics["cross_entropy"] = reported(nats.cross_entropy, batch.loss_mask)
            metrics["accuracy"] = reported(correct.astype(jnp.float32), batch.loss_mask)
        return LossOutput(loss=nats.total + target.loss + s2t_nats.total, state=variables.state, metrics=metrics)

    def _projected(
        self,
        variables: Variables,
        batch: TokenBatch,
        student: Hiddens,
        teacher: Hiddens,
        weights: Float[Array, "b k"],
        counts: dict[str, Array],
    ) -> _Target:
        """Return p_t2s, where it has the teacher's argmax, and the cross entropy that trains its projector."""
        values = projector.project(variables.params["projectors"]["t2s"], teacher.values, batch.loss_mask)
        t2s = Hiddens(values=values, head=jax.lax.stop_gradient(student.head))
        teacher_argmax = linear_argmax(teacher, batch.loss_mask)
        nats = linear_cross_entropy(t2s, teacher_argmax, weights=weights, implementation=FROZEN_HEAD)
        agree = batch.loss_mask & (nats.argmax == teacher_argmax)
        metrics = {
            "t2s_cross_entropy": reported(nats.cross_entropy, batch.loss_mask),
            "t2s_agreement": reported(agree.astype(jnp.float32), batch.loss_mask),
        }
        return _Target(
            hiddens=t2s,
            compared=agree,
            weights=self._agreement_weights(agree, batch.loss_mask, counts),
            loss=nats.total,
            metrics=metrics,
        )

    def prepare(self, variables: Variables) -> Params:
        """Compute P_s2t from the current student head."""
        heads, rows = self.heads(variables), self._shared_rows()
        return ideal_projectors.updated(variables, *heads, rows, head_fit=self.head_fit)

    def counts(self, batch: TokenBatch) -> dict[str, Array]:
        return super().counts(batch) | {"micro_batches": jnp.ones((), jnp.int32)}

    def validate(self) -> None:
        super().validate()
        for name, choices in (("normalisation", Normalisation), ("student_target", StudentTarget)):
            if getattr(self, name) not in get_args(choices):
                raise ValueError(f"{name} must be one of {', '.join(get_args(choices))}, got {getattr(self, name)!r}.")
        ideal_projectors.require_fit(self.head_fit)
        dual_space.require_spaces(self.spaces)

    def abstract(self) -> Variables:
        return ideal_projectors.abstract(
            super().abstract(),
            student_width=self.student.config().width,
            teacher_width=self.teacher.config().width,
            head_fit=self.head_fit,
        )

    def init(self, key: Key) -> Variables:
        variables = super().init(key)
        heads, rows = self.heads(variables), self._shared_rows()
        return ideal_projectors.initial(variables, *heads, rows, rtol=self.rtol, head_fit=self.head_fit)

    def _agreement_weights(
        self, agree: Bool[Array, "b k"], mask: Bool[Array, "b k"], counts: dict[str, Array]
    ) -> Float[Array, "b k"]:
        """Return the weights of D(q, p_t2s) at each target."""
        if self.normalisation == "tokens":
            return mean_weights(agree, counts["targets"])
        # Average over micro-batches of the mean over their agreeing tokens.
        agreeing = jnp.maximum(jnp.sum(agree), 1e-3) * counts["micro_batches"]
        share = jnp.sum(agree) * counts["micro_batches"] / jnp.maximum(counts["targets"], 1)
        return jnp.where(share <= self.t2s_agreement, agree / agreeing, mean_weights(mask, counts["targets"]))

    def _shared_rows(self) -> int:
        return vocabulary.common_prefix_size(self.student, self.teacher)
