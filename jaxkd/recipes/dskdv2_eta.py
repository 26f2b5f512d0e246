"""DSKDv2 between any two vocabularies: compares teacher and student at exactly aligned tokens."""

import dataclasses
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxkd import projector
from jaxkd.alignment.exact_token import align
from jaxkd.data.text.paired_text import PairedText
from jaxkd.distillation import dual_space, forward, ideal_projectors
from jaxkd.distillation.dual_space import Spaces
from jaxkd.distillation.ideal_projectors import HeadFit, SharedRows
from jaxkd.distillation.label_loss import label_loss
from jaxkd.distillation.parts import Part
from jaxkd.distillation.recipe import Distillation
from jaxkd.distillation.vocabulary_tables import SHARED, SharedTokenTable
from jaxkd.kernels import FROZEN_HEAD, linear_argmax, linear_cross_entropy, linear_divergence
from jaxkd.losses import AnyDivergence, ForwardKL
from jaxkd.losses.reduce import mean_weights, reported
from jaxkd.records import Hiddens, LossOutput, Mean, PairedBatch, Variables
from jaxkd.tokenizers import vocabulary
from jaxkd.typing import Key, Params

Normalisation = Literal["tokens", "reference"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DSKDv2ETA(Distillation):
    """loss = (1 - kd_rate) * CE(label, q) + kd_rate * dual, with the terms of DSKDv2 at aligned tokens.

    dual = CE(y*, p_t2s) + [argmax p_t2s = y*] D(q, p_t2s) + D(q_s2t, p).  Exact token alignment pairs the student's and
    the teacher's targets that stand for the same bytes.  y* is the teacher's argmax, mapped to the student's
    vocabulary; the first two terms are left out where it has no such token.  Both projectors are initialised from the
    shared tokens, and P_s2t is updated with the student's head.  All terms are divided by the number of the student's
    targets, aligned or not.

    Source: Zhang et al. (arXiv 2504.11426), section 4; checked against songmzhang/DSKDv2@5025279.  Deviation: tokens
    are aligned and mapped by bytes, where that code compares spellings and uses the unknown token as a label; each term
    has one denominator, where that code divides by the aligned tokens of a micro-batch, and compares in the teacher's
    space only where y* is mapped (`normalisation="reference"`).
    """

    data: PairedText
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

    def loss(self, variables: Variables, batch: PairedBatch, counts: dict[str, Array], key: Key) -> LossOutput:
        ours = batch.student
        student, teacher = self.hiddens(variables, batch, key)
        label_term = label_loss(student, ours, rate=1 - self.kd_rate, count=counts["targets"])

        pairs = align(batch.student_spans, batch.teacher_spans)
        student, teacher = (
            forward.gather_positions(student, pairs.student),
            forward.gather_positions(teacher, pairs.teacher),
        )
        in_student, in_teacher = dual_space.rates(self.spaces, self.kd_rate)
        head = jax.lax.stop_gradient(student.head)
        t2s_values = projector.project(variables.params["projectors"]["t2s"], teacher.values, pairs.mask)
        s2t_values = projector.project(variables.derived["s2t"], student.values, pairs.mask)
        t2s, s2t = Hiddens(values=t2s_values, head=head), Hiddens(values=s2t_values, head=teacher.head)

        in_student_vocabulary = variables.frozen[SHARED]["student_of_teacher"]
        teacher_argmax = in_student_vocabulary[linear_argmax(teacher, pairs.mask)]
        mapped = pairs.mask & (teacher_argmax >= 0)
        teacher_argmax = jnp.maximum(teacher_argmax, 0)
        to_mapped, to_pairs = self._pair_weights(mapped, pairs.mask, counts)
        t2s_nats = linear_cross_entropy(t2s, teacher_argmax, weights=in_student * to_mapped, implementation=FROZEN_HEAD)
        agree = mapped & (t2s_nats.argmax == teacher_argmax)
        nats = linear_divergence(
            student,
            jax.lax.stop_gradient(t2s),
            weights=in_student * self._agreement_weights(agree, mapped, counts),
            divergence=self.divergence,
        )
        s2t_nats = linear_divergence(
            s2t, teacher, weights=in_teacher * to_pairs, divergence=self.divergence, implementation=FROZEN_HEAD
        )
        metrics = {
            **label_term.metrics,
            "aligned": Mean(total=jnp.sum(pairs.mask, dtype=jnp.float32), count=jnp.sum(ours.loss_mask)),
            "known": reported(mapped.astype(jnp.float32), pairs.mask),
            **dual_space.compared(
                self.spaces,
                {
                    "t2s_cross_entropy": reported(t2s_nats.cross_entropy, mapped),
                    "t2s_agreement": reported(agree.astype(jnp.float32), mapped),
                    "t2s_divergence": reported(nats.divergence, agree),
                },
                {"s2t_divergence": reported(s2t_nats.divergence, to_pairs > 0)},
            ),
        }
        loss = label_term.total + nats.total + t2s_nats.total + s2t_nats.total
        return LossOutput(loss=loss, state=variables.state, metrics=metrics)

    def prepare(self, variables: Variables) -> Params:
        """Compute P_s2t from the current student head."""
        shared = variables.frozen[SHARED]
        rows = shared["student_ids"], shared["teacher_ids"]
        return ideal_projectors.updated(variables, *self.heads(variables), rows, head_fit=self.head_fit)

    def counts(self, batch: PairedBatch) -> dict[str, Array]:
        return super().counts(batch) | {"micro_batches": jnp.ones((), jnp.int32)}

    def validate(self) -> None:
        super().validate()
        if self.normalisation not in get_args(Normalisation):
            choices = ", ".join(get_args(Normalisation))
            raise ValueError(f"normalisation must be one of {choices}, got {self.normalisation!r}.")
        ideal_projectors.require_fit(self.head_fit)
        dual_space.require_spaces(self.spaces)
        vocabulary.require_overlap(self.student, self.teacher, method="DSKDv2ETA")

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

    def _pair_weights(
        self, mapped: Bool[Array, "b p"], paired: Bool[Array, "b p"], counts: dict[str, Array]
    ) -> tuple[Float[Array, "b p"], Float[Array, "b p"]]:
        """Return the weights of CE(y*, p_t2s) and of D(q_s2t, p) at each pair."""
        if self.normalisation == "tokens":
            return mean_weights(mapped, counts["targets"]), mean_weights(paired, counts["targets"])
        # Average over micro-batches of the mean over their mapped tokens.
        weights = mapped / (jnp.maximum(jnp.sum(mapped), 1e-3) * counts["micro_batches"])
        return weights, weights

    def _agreement_weights(
        self, agree: Bool[Array, "b p"], mapped: Bool[Array, "b p"], counts: dict[str, Array]
    ) -> Float[Array, "b p"]:
        """Return the weights of D(q, p_t2s) at each pair."""
        if self.normalisation == "tokens":
            return mean_weights(agree, counts["targets"])
        share = jnp.sum(agree) / jnp.maximum(jnp.sum(mapped), 1e-3)
        compared = jnp.where(share <= self.t2s_agreement, agree, mapped)
        return compared / (jnp.maximum(jnp.sum(compared), 1e-3) * counts["micro_batches"])

    def _shared_rows(self) -> SharedRows:
        shared = vocabulary.relation(self.student, self.teacher)
        return shared.student_ids, shared.teacher_ids

    def parts(self) -> dict[str, Part]:
        return super().parts() | {SHARED: SharedTokenTable(student=self.student, teacher=self.teacher)}
