"""Log-probabilities of whole answers, which preference losses compare."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.distillation import forward
from jaxkd.kernels import linear_log_probs
from jaxkd.losses.reduce import segment_reduce
from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.records import PreferenceBatch, TokenBatch
from jaxkd.typing import Params


def per_pair(values: Float[Array, "b k"], batch: PreferenceBatch) -> Float[Array, "b p 2"]:
    """Sum over the targets of each pair's chosen and rejected answer; 0 if there is no pair."""
    answers = batch.answers
    segments = jnp.take_along_axis(answers.segment_ids, answers.target_positions, axis=1)
    pairs = batch.weights.shape[-1]
    sums = segment_reduce(values, answers.loss_mask, segments, num_segments=2 * pairs)
    return sums.reshape(-1, pairs, 2)


def of_frozen(config: DecoderConfig, params: Params, answers: TokenBatch) -> Float[Array, "b k"]:
    """Return the log-probability of each label under a frozen model, in nats; 0 where the mask is False."""
    hiddens = jax.lax.stop_gradient(forward.hiddens(config, params, answers))
    return linear_log_probs(hiddens, answers.labels, mask=answers.loss_mask).values
