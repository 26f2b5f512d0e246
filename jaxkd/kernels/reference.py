"""Reference implementation of the distillation loss from hidden states, to test every kernel against."""

import jax
import jax.numpy as jnp

from jaxkd.kernels.divergence import Divergence
from jaxkd.kernels.inputs import Columns, Inputs
from jaxkd.kernels.softmax.head_logits import head_logits
from jaxkd.kernels.top_k_teacher import top_k_divergence
from jaxkd.typing import Scalar


def reference(divergence: Divergence | None, inputs: Inputs) -> tuple[Scalar, Columns]:
    """Compute the loss from both full logits; `linear_divergence` documents the arguments."""
    targets, logits = inputs.targets, head_logits(inputs.hiddens("student"))
    # Subtract the largest logit: a log-sum-exp near 1e4 is rounded to 1e-3 nats.
    largest = jax.lax.stop_gradient(jnp.max(logits, axis=-1))
    log_total = jnp.log(jnp.sum(jnp.exp(logits - largest[..., None]), axis=-1))
    lse = largest + log_total
    values = cross_entropy = jnp.zeros_like(lse)
    if divergence is not None and targets.top_k is not None:
        values = top_k_divergence(divergence, logits, targets.top_k)
    elif divergence is not None:
        frozen = {side: head_logits(inputs.hiddens(side)) for side in inputs.heads if side != "student"}
        sides = {"student": logits, **frozen}
        cut = inputs.compared({side: one[..., : inputs.rows] for side, one in sides.items()})
        values = divergence(cut["student"], cut["teacher"])
    if targets.labels is not None:
        label_logit = jnp.take_along_axis(logits, targets.labels[..., None], axis=-1)[..., 0]
        cross_entropy = log_total + (largest - label_logit)
    argmax = jnp.argmax(logits, axis=-1).astype(jnp.int32)
    columns = Columns(divergence=values, cross_entropy=cross_entropy, argmax=argmax, lse=lse)
    return columns.total(targets), jax.lax.stop_gradient(columns)
