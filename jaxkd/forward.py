"""From a batch to the hidden states that a loss reads: the one place where models meet batches."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.kernels import linear_cross_entropy
from jaxkd.models import decoder
from jaxkd.models.config import DecoderConfig
from jaxkd.records import Hiddens, TokenBatch
from jaxkd.sharding import place, shardings
from jaxkd.typing import Key, Params


def abstract_params(config: DecoderConfig) -> Params:
    """Shapes, dtypes and, under an ambient mesh, shardings of a model's parameters."""
    tree = decoder.abstract(config)
    targets = shardings(tree, decoder.logical_axes(config))
    if targets is None:
        return tree
    return jax.tree.map(lambda leaf, to: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=to), tree, targets)


def place_params(config: DecoderConfig, params: Params) -> Params:
    """Host parameters, or the head's part of them, moved onto the ambient mesh."""
    axes = decoder.logical_axes(config)
    return place(params, {name: axes[name] for name in params})


def hiddens(
    config: DecoderConfig, params: Params, batch: TokenBatch, *, key: Key | None = None, remat: bool = False
) -> Hiddens:
    """Final hidden states at the batch's target positions, `[b k d]`, and the head that reads them.

    Prompt and padding run through the decoder and stop there: no head product is spent on them.

    Args:
        config: architecture of the model.
        params: its parameters; their dtype is the compute dtype.
        batch: packed rows.
        key: dropout key; None switches dropout off.
        remat: recompute each layer in the backward pass instead of storing its activations.
    """
    states = decoder.hidden_states(
        config,
        params,
        batch.tokens,
        positions=batch.positions,
        segment_ids=batch.segment_ids,
        key=key,
        remat=remat,
    )
    values = jnp.take_along_axis(states, batch.target_positions[..., None], axis=1)
    return Hiddens(values=values, head=decoder.head(config, params))


def teacher(config: DecoderConfig, params: Params, batch: TokenBatch) -> Hiddens:
    """The teacher's hidden states at the targets, gradient-stopped: from the cache, or live.

    Args:
        config: architecture of the teacher.
        params: all of its parameters, or its head alone where `batch.teacher` is filled in.
        batch: packed rows; `batch.teacher` wins where it is not None.
    """
    if batch.teacher is None:
        return jax.lax.stop_gradient(hiddens(config, params, batch))
    head = decoder.head(config, params)
    values = batch.teacher.astype(head.weight.dtype)
    return jax.lax.stop_gradient(Hiddens(values=values, head=head))


def token_nats(config: DecoderConfig, params: Params, batch: TokenBatch) -> Float[Array, "b k"]:
    """Cross entropy of each label, in nats, without a gradient; 0 where the mask is False."""
    weights = batch.loss_mask.astype(jnp.float32)
    loss = linear_cross_entropy(hiddens(config, params, batch), batch.labels, weights=weights)
    return jnp.where(batch.loss_mask, loss.cross_entropy, 0.0)
