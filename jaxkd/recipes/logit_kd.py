"""Logit distillation: the student learns the teacher's whole next-token distribution."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array

from jaxkd.data.text.packed_text import PackedText
from jaxkd.distillation.recipe import Distillation
from jaxkd.kernels import linear_divergence
from jaxkd.losses import AnyDivergence, ForwardKL
from jaxkd.losses.reduce import mean_weights, reported
from jaxkd.records import LossOutput, TokenBatch, Variables
from jaxkd.typing import Key


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogitKD(Distillation):
    """loss = mean over the response tokens of (1 - kd_rate) * CE(label) + kd_rate * D(q, p).

    D compares the student's distribution q with the teacher's p, by default with KL(p || q) at temperature 2; the
    cross entropy is at temperature 1.  Heads that are padded differently are compared over the rows that they share.

    Source: Hinton et al. (arXiv 1503.02531), section 2; checked against the same-vocabulary
    baseline of songmzhang/DSKD@077337a.  Deviation from Hinton: no temperature^2 factor on the
    divergence, as in that baseline; raise `kd_rate` instead.
    """

    data: PackedText
    divergence: AnyDivergence = ForwardKL(temperature=2.0)
    """Divergence D between the distributions of student and teacher; its temperature divides the logits of both."""

    def loss(self, variables: Variables, batch: TokenBatch, counts: dict[str, Array], key: Key) -> LossOutput:
        student, teacher = self.hiddens(variables, batch, key)
        weights = mean_weights(batch.loss_mask, counts["targets"])
        nats = linear_divergence(
            student,
            teacher,
            weights=self.kd_rate * weights,
            divergence=self.divergence,
            labels=batch.labels,
            label_weights=(1 - self.kd_rate) * weights,
        )
        metrics = {
            "cross_entropy": reported(nats.cross_entropy, batch.loss_mask),
            "divergence": reported(nats.divergence, batch.loss_mask),
            "accuracy": reported((nats.argmax == batch.labels).astype(jnp.float32), batch.loss_mask),
        }
        return LossOutput(loss=nats.total, state=variables.state, metrics=metrics)
