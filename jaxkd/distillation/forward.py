"""Forward passes from a batch to the hidden states that a loss reads: the only place where models meet batches."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxkd.kernels import linear_cross_entropy
from jaxkd.models.transformer import decoder
from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.models.transformer.attention import BackendChoice
from jaxkd.models.transformer.decoder import Remat
from jaxkd.models.transformer.layer_outputs import AttentionTap, layer_outputs
from jaxkd.networks import quantized
from jaxkd.records import Hiddens, TokenBatch
from jaxkd.sharding import shard
from jaxkd.typing import Key, Params


def shard_params(config: DecoderConfig, params: Params) -> Params:
    """Move host parameters, or those of the head alone, onto the ambient mesh."""
    return shard(params, quantized.logical_axes(params, decoder.logical_axes(config)))


def hiddens(
    config: DecoderConfig,
    params: Params,
    batch: TokenBatch,
    *,
    key: Key | None = None,
    remat: Remat | bool = "none",
    backend: BackendChoice = "auto",
) -> Hiddens:
    """Return final hidden states at the batch's target positions, `[b k d]`, and the head that reads them.

    Prompt and padding run through the decoder only: no head product is computed for them.

    Args:
        config: architecture of the model.
        params: parameters of the model; their dtype is the compute dtype.
        batch: packed rows.
        key: dropout key; None switches dropout off.
        remat: activations that the backward pass recomputes; a recipe's False or True is "none" or "full".
        backend: implementation of attention.
    """
    states = decoder.hidden_states(
        config,
        params,
        batch.tokens,
        positions=batch.positions,
        segment_ids=batch.segment_ids,
        key=key,
        remat=_policy(remat),
        backend=backend,
    )
    values = jnp.take_along_axis(states, batch.target_positions[..., None], axis=1)
    return Hiddens(values=values, head=decoder.head(config, params))


def _policy(remat: Remat | bool) -> Remat:
    if isinstance(remat, bool):
        return "full" if remat else "none"
    return remat


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerHiddens:
    """Hidden states and attention of selected layers at the batch's target positions."""

    hiddens: Float[Array, "n b k d"]
    """Hidden states of the requested layers, in their order."""
    attention: Float[Array, "n b heads k t"] | None
    """Attention of the same layers, from each target to each column of its row."""


def layer_hiddens(
    config: DecoderConfig,
    params: Params,
    batch: TokenBatch,
    *,
    layers: Sequence[int],
    tap: AttentionTap = "none",
    key: Key | None = None,
    remat: Remat | bool = "none",
) -> tuple[Hiddens, LayerHiddens]:
    """Return `hiddens` and the hidden states of selected layers at the same positions, from one forward pass.

    Args:
        config: architecture of the model.
        params: parameters of the model; their dtype is the compute dtype.
        batch: packed rows.
        layers: 0 is the embedding and i the output of block i, counted from 1; that of the last block is taken
            after the final norm, as the head reads it.
        tap: part of the same blocks' attention to return; "none" if `layers` has 0.
        key: dropout key; None switches dropout off.
        remat: as in `hiddens`.

    Raises:
        ValueError: a layer that the model does not have, or the attention of the embedding.
    """
    lowest = 0 if tap == "none" else 1
    outside = [layer for layer in layers if not lowest <= layer <= config.depth]
    if outside or not layers:
        raise ValueError(
            f"layers must be between {lowest} and {config.depth} with tap={tap!r}, got {list(layers)}. "
            "Blocks count from 1; 0 is the embedding, which has no attention."
        )
    outputs = layer_outputs(
        config,
        params,
        batch.tokens,
        positions=batch.positions,
        segment_ids=batch.segment_ids,
        tap=tap,
        key=key,
        remat=_policy(remat),
    )
    index = jnp.asarray(layers)
    columns = batch.target_positions[None, :, :, None]
    chosen = jnp.take_along_axis(outputs.hiddens[index], columns, axis=2)
    final = jnp.take_along_axis(outputs.hiddens[-1], columns[0], axis=1)
    seen = outputs.attention
    if seen is not None:
        seen = jnp.take_along_axis(seen[index - 1], columns[:, :, None], axis=3)
    return Hiddens(values=final, head=decoder.head(config, params)), LayerHiddens(hiddens=chosen, attention=seen)


def teacher(config: DecoderConfig, params: Params, batch: TokenBatch) -> Hiddens:
    """Return the teacher's hidden states at the targets, gradient-stopped, from the cache or live.

    Args:
        config: architecture of the teacher.
        params: all of the teacher's parameters, or its head alone if `batch.teacher` is set.
        batch: packed rows; `batch.teacher` takes precedence if it is not None.
    """
    if batch.teacher is None:
        return jax.lax.stop_gradient(hiddens(config, params, batch))
    head = decoder.head(config, params)
    values = batch.teacher.astype(head.weight.dtype)
    return jax.lax.stop_gradient(Hiddens(values=values, head=head))


def gather_positions(hiddens: Hiddens, positions: Int[Array, "b p"]) -> Hiddens:
    """Gather the hidden states `[b p d]` at these indices of each row's targets."""
    return dataclasses.replace(hiddens, values=jnp.take_along_axis(hiddens.values, positions[..., None], axis=1))


def truncate_vocabulary(hiddens: Hiddens, count: int) -> Hiddens:
    """Restrict the head of the hidden states to its first `count` rows, those that two models share."""
    return dataclasses.replace(hiddens, head=dataclasses.replace(hiddens.head, vocab_size=count))


def label_cross_entropy(config: DecoderConfig, params: Params, batch: TokenBatch) -> Float[Array, "b k"]:
    """Cross entropy of each label, in nats, without a gradient; 0 where the mask is False."""
    weights = batch.loss_mask.astype(jnp.float32)
    loss = linear_cross_entropy(hiddens(config, params, batch), batch.labels, weights=weights)
    return jnp.where(batch.loss_mask, loss.cross_entropy, 0.0)
