"""Cross entropy of the labels: the loss term that all methods share, and its metrics."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxkd.kernels import linear_cross_entropy
from jaxkd.losses.reduce import mean_weights, reported
from jaxkd.records import Hiddens, Mean, TokenBatch
from jaxkd.typing import Scalar


class LabelLoss(NamedTuple):
    """Label term of a recipe's loss."""

    total: Scalar
    metrics: dict[str, Mean]
    """`cross_entropy` in nats and `accuracy`, per target."""


def label_loss(student: Hiddens, batch: TokenBatch, *, rate: float, count: Int[Array, ""]) -> LabelLoss:
    """Return `rate` times the mean cross entropy of the labels.

    Args:
        student: hidden states at the targets.
        batch: batch in the student's tokens.
        rate: weight of the term in the loss, at least 0.  With 0 it is reported without a backward pass.
        count: number of targets in the whole optimizer step, not in this part alone.
    """
    if rate == 0:
        student = jax.lax.stop_gradient(student)
    # The rate is applied outside: a kernel skips positions of weight 0, but they must be reported.
    nats = linear_cross_entropy(student, batch.labels, weights=mean_weights(batch.loss_mask, count))
    metrics = {
        "cross_entropy": reported(nats.cross_entropy, batch.loss_mask),
        "accuracy": reported((nats.argmax == batch.labels).astype(jnp.float32), batch.loss_mask),
    }
    return LabelLoss(total=rate * nats.total, metrics=metrics)
