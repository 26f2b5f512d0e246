"""Cache of the keys and values of earlier tokens, so that only new tokens are processed."""

import dataclasses

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jaxkd.models.transformer import attention, decoder
from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.sharding import constrain
from jaxkd.typing import Params


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class KeyValueCache:
    """One slot per token, in the order of reading; all rows fill the same slots."""

    keys: Float[Array, "l b kv_heads s head_dim"]
    """Rotated keys.  Slots are within heads, so that a head's scores are products with one contiguous matrix."""
    values: Float[Array, "l b kv_heads s head_dim"]
    segment_ids: Int[Array, "b s"]
    """Segment of the token in each slot; 0 is padding."""
    length: Int[Array, ""]
    """Number of filled slots."""


def init_cache(config: DecoderConfig, rows: int, slots: int, dtype: DTypeLike = jnp.float32) -> KeyValueCache:
    """Return an empty cache; `dtype` is that of the parameters."""
    shape = (config.depth, rows, config.kv_heads, slots, config.head_dim)
    return KeyValueCache(
        keys=constrain(jnp.zeros(shape, dtype), "layers", "rows", "kv_heads", None, None),
        values=constrain(jnp.zeros(shape, dtype), "layers", "rows", "kv_heads", None, None),
        segment_ids=jnp.zeros((rows, slots), jnp.int32),
        length=jnp.zeros((), jnp.int32),
    )


def extend(
    config: DecoderConfig,
    params: Params,
    cache: KeyValueCache,
    tokens: Int[Array, "b t"],
    *,
    positions: Int[Array, "b t"],
    segment_ids: Int[Array, "b t"],
) -> tuple[Float[Array, "b t d"], KeyValueCache]:
    """Process `t` more tokens after those in the cache; return their final hidden states and the new cache.

    It equals `decoder.hidden_states` on the whole sequence.  The caller must provide enough slots: past the end,
    `dynamic_update_slice` would silently overwrite the last ones.

    Args:
        positions: position of each token within its segment, from 0.
        segment_ids: segment of each token; attention is causal and stays within a segment; 0 is padding.
    """
    start, added = cache.length, tokens.shape[1]
    segments = jax.lax.dynamic_update_slice(cache.segment_ids, segment_ids, (0, start))

    # The cache is the scan's carry, written in place: as scanned input and output it would be copied entirely for every
    # token.
    def attend(layer: decoder.Layer, queries: Array, keys: Array, values: Array, memory: tuple[Array, Array]) -> tuple:
        all_keys, all_values = (
            jax.lax.dynamic_update_slice(held, jnp.swapaxes(new, 1, 2)[None], (layer.index, 0, 0, start, 0))
            for held, new in zip(memory, (keys, values), strict=True)
        )
        mixed = attention.attention(
            queries,
            jnp.swapaxes(all_keys[layer.index], 1, 2),
            jnp.swapaxes(all_values[layer.index], 1, 2),
            segment_ids=segment_ids,
            key_segment_ids=segments,
            start=start,
            window=layer.window,
            softcap=config.attention_softcap,
            scale=config.score_scale,
            backend="xla",
        )
        return mixed, (all_keys, all_values), None

    passed = decoder.run(config, params, tokens, positions=positions, attend=attend, memory=(cache.keys, cache.values))
    keys, values = passed.memory
    return passed.final, KeyValueCache(keys=keys, values=values, segment_ids=segments, length=start + added)


def take_rows(cache: KeyValueCache, rows: Int[Array, " n"]) -> KeyValueCache:
    """Return the cache of some rows."""
    return KeyValueCache(
        keys=cache.keys[:, rows],
        values=cache.values[:, rows],
        segment_ids=cache.segment_ids[rows],
        length=cache.length,
    )


def put_rows(cache: KeyValueCache, rows: Int[Array, " n"], held: KeyValueCache) -> KeyValueCache:
    """Replace some rows by those of another cache, whose number of filled slots becomes that of all."""
    return KeyValueCache(
        keys=cache.keys.at[:, rows].set(held.keys),
        values=cache.values.at[:, rows].set(held.values),
        segment_ids=cache.segment_ids.at[rows].set(held.segment_ids),
        length=held.length,
    )
