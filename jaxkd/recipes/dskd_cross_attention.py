"""DSKD between any two vocabularies: cross-model attention aligns the hidden states of both models."""

import dataclasses
import functools
import math
from typing import get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd import projector
from jaxkd.alignment.cross_model_attention import Statistic, attend, attention_weights, normalise
from jaxkd.data.text.paired_text import PairedText
from jaxkd.distillation import student_params
from jaxkd.distillation.label_loss import label_loss
from jaxkd.distillation.recipe import Distillation
from jaxkd.kernels import FROZEN_HEAD, linear_cross_entropy, linear_divergence
from jaxkd.losses import AnyDivergence, ForwardKL
from jaxkd.losses.reduce import mean_weights, reported
from jaxkd.records import Hiddens, LossOutput, PairedBatch, Variables
from jaxkd.typing import Key, Params


@dataclasses.dataclass(frozen=True, kw_only=True)
class DSKDCrossAttention(Distillation):
    """loss = (1 - kd_rate) * CE(label, q) + kd_rate * dual, over the student's targets.

    dual = CE(label, p_t2s) + [argmax p_t2s = label] D(q, p_t2s) + KL(p || q_s2t).  As in DSKD, the student's head turns
    the teacher's projected hidden states into p_t2s, and the teacher's head turns the student's into q_s2t; but each
    position takes the mean over the other side's targets of the same example, weighted by attention between the
    embeddings of input and target.  CE(label, p_t2s) trains the t2s and the query projector, D(q, p_t2s) the student,
    and KL(p || q_s2t), at the teacher's targets, the student's body, the s2t and the query projector.

    The projectors form the optimizer group "projectors"; the paper gives them a learning rate of 1e-3.

    Source: Zhang et al. (arXiv 2406.17328), section 3.3; checked against songmzhang/DSKD@077337a.  Deviation:
    normalisation divides by the standard deviation over the targets of each example, where that code takes it over the
    batch including padding (`normalise_over="reference"`).
    """

    data: PairedText
    divergence: AnyDivergence = ForwardKL(temperature=2.0)
    """Divergence D in the student's space; its temperature applies in the teacher's space too."""
    teacher_temperature: float = 1.0
    """Further temperature of p_t2s in D alone, > 0: its logits are divided by this and by the divergence's."""
    normalise_over: Statistic = "tokens"
    """Entries for the standard deviation; with "reference" the loss of an example depends on its batch."""

    teacher_reads = ("embedding",)

    def loss(self, variables: Variables, batch: PairedBatch, counts: dict[str, Array], key: Key) -> LossOutput:
        ours, theirs = batch.student, batch.teacher
        student, teacher = self.hiddens(variables, batch, key)
        weights = mean_weights(ours.loss_mask, counts["targets"])
        projectors = variables.params["projectors"]
        label_term = label_loss(student, ours, rate=1 - self.kd_rate, count=counts["targets"])

        queries, keys, targets = self._queries_and_keys(variables, batch)
        normalised = functools.partial(
            normalise, mask=theirs.loss_mask, segment_ids=batch.teacher_spans.segment_ids, over=self.normalise_over
        )
        attention = attention_weights(
            projector.project(projectors["query"], queries, ours.loss_mask),
            normalised(keys),
            student_mask=ours.loss_mask,
            teacher_mask=theirs.loss_mask,
            student_segment_ids=batch.student_spans.segment_ids,
            teacher_segment_ids=batch.teacher_spans.segment_ids,
        )
        values = normalised(teacher.values) + normalised(targets)
        values = projector.project(projectors["t2s"], values, theirs.loss_mask)
        head = jax.lax.stop_gradient(student.head)
        t2s = Hiddens(values=attend(attention.t2s, values).astype(student.values.dtype), head=head)
        values = projector.project(projectors["s2t"], student.values, ours.loss_mask)
        s2t = Hiddens(values=attend(attention.s2t, values), head=teacher.head)

        t2s_nats = linear_cross_entropy(t2s, ours.labels, weights=self.kd_rate * weights, implementation=FROZEN_HEAD)
        correct = ours.loss_mask & (t2s_nats.argmax == ours.labels)
        nats = linear_divergence(
            student,
            jax.lax.stop_gradient(dataclasses.replace(t2s, head=head.tempered(self.teacher_temperature))),
            weights=self.kd_rate * mean_weights(correct, counts["targets"]),
            divergence=self.divergence,
        )
        s2t_nats = linear_divergence(
            s2t,
            teacher,
            weights=self.kd_rate * mean_weights(theirs.loss_mask, counts["targets"]),
            divergence=ForwardKL(temperature=self.divergence.temperature),
            implementation=FROZEN_HEAD,
        )
        metrics = {
            **label_term.metrics,
            "t2s_cross_entropy": reported(t2s_nats.cross_entropy, ours.loss_mask),
            "t2s_accuracy": reported(correct.astype(jnp.float32), ours.loss_mask),
            "t2s_divergence": reported(nats.divergence, correct),
            "s2t_divergence": reported(s2t_nats.divergence, theirs.loss_mask),
        }
        loss = label_term.total + t2s_nats.total + nats.total + s2t_nats.total
        return LossOutput(loss=loss, state=variables.state, metrics=metrics)

    def validate(self) -> None:
        super().validate()
        if self.normalise_over not in get_args(Statistic):
            choices = ", ".join(get_args(Statistic))
            raise ValueError(f"normalise_over must be one of {choices}, got {self.normalise_over!r}.")
        if not 0 < self.teacher_temperature < math.inf:
            raise ValueError(f"teacher_temperature must be > 0 and finite, got {self.teacher_temperature}.")

    def abstract(self) -> Variables:
        return student_params.with_projectors(
            super().abstract(), jax.eval_shape(lambda: self._projectors(jax.random.key(0)))
        )

    def init(self, key: Key) -> Variables:
        student_key, projector_key = jax.random.split(key)
        return student_params.with_projectors(super().init(student_key), self._projectors(projector_key))

    def _queries_and_keys(
        self, variables: Variables, batch: PairedBatch
    ) -> tuple[Float[Array, "b n q"], Float[Array, "b m k"], Float[Array, "b m d"]]:
        """Return input and target embeddings of the student, those of the teacher, and the teacher's targets alone."""
        sides = (
            (student_params.student(variables)["embedding"], batch.student),
            (variables.frozen["teacher"]["embedding"], batch.teacher),
        )
        joined = []
        for table, side in sides:
            table = jax.lax.stop_gradient(table)
            inputs = table[jnp.take_along_axis(side.tokens, side.target_positions, axis=1)]
            joined.append((inputs, table[side.labels]))
        (student_inputs, student_targets), (teacher_inputs, teacher_targets) = joined
        queries = jnp.concatenate([student_inputs, student_targets], axis=-1)
        return queries, jnp.concatenate([teacher_inputs, teacher_targets], axis=-1), teacher_targets

    def _projectors(self, key: Key) -> dict[str, Params]:
        student, teacher = self.student.config().width, self.teacher.config().width
        widths = {"t2s": (teacher, student), "s2t": (student, teacher), "query": (2 * student, 2 * teacher)}
        keys = jax.random.split(key, len(widths))
        return {
            name: projector.uniform_init(one, *sizes) for one, (name, sizes) in zip(keys, widths.items(), strict=True)
        }
