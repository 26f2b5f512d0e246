"""The cross entropy of the labels: the term that all methods share, and what is reported of it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxkd.kernels import linear_cross_entropy
from jaxkd.losses.reduce import mean_weights, reported
from jaxkd.records import Hiddens, Mean, TokenBatch
from jaxkd.typing import Scalar


class LabelLoss(NamedTuple):
    """The term of the labels in a recipe's loss."""

    total: Scalar
    metrics: dict[str, Mean]
    """`cross_entropy` in nats and `accuracy`, per target."""


def label_loss(student: Hiddens, batch: TokenBatch, *, rate: float, count: Int[Array, ""]) -> LabelLoss:
    """`rate` times the mean cross entropy of the labels.

    Args:
        student: hidden states at the targets.
        batch: in the student's tokens.
        rate: share of the term in the loss, at least 0.  With 0 it is reported, and there is no backward pass.
        count: targets of the whole optimizer step, this part of it and all others.
    """
    if rate == 0:
        student = jax.lax.stop_gradient(student)
    # The rate stands outside, because a kernel leaves out what has weight 0, and it is to be reported.
    nats = linear_cross_entropy(student, batch.labels, weights=mean_weights(batch.loss_mask, count))
    metrics = {
        "cross_entropy": reported(nats.cross_entropy, batch.loss_mask),
        "accuracy": reported((nats.argmax == batch.labels).astype(jnp.float32), batch.loss_mask),
    }
    return LabelLoss(total=rate * nats.total, metrics=metrics)
