"""Splash attention, the Pallas kernel for TPUs that comes with JAX."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float, Int

from jaxkd.sharding import partition_spec
from jaxkd.sharding.devices import platform

BLOCK = 128
"""Tile of the kernel; sequence lengths are a multiple of it."""


def attention(
    queries: Float[Array, "b t heads head_dim"],
    keys: Float[Array, "b t kv_heads head_dim"],
    values: Float[Array, "b t kv_heads head_dim"],
    *,
    segment_ids: Int[Array, "b t"] | None,
    window: int,
    softcap: float | None,
    scale: float,
) -> Float[Array, "b t heads head_dim"]:
    """Compute `jaxkd.models.transformer.attention.attention` by the kernel, interpreted and slow off a TPU.

    The queries are multiplied by the scale in float32 and rounded to their dtype.
    Under a mesh each device runs the kernel on its own rows and heads.
    """
    scaled = (queries.astype(jnp.promote_types(queries.dtype, jnp.float32)) * scale).astype(queries.dtype)
    rows, length = queries.shape[:2]
    segment_ids = jnp.ones((rows, length), jnp.int32) if segment_ids is None else segment_ids
    run = functools.partial(_rows, window=window, softcap=softcap)
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty:
        return run(scaled, keys, values, segment_ids)
    spec = partition_spec(("rows", None, "kv_heads", None), keys.shape, mesh)
    # GSPMD cannot look into a kernel: it would gather every row on every device.
    return jax.shard_map(
        run,
        in_specs=(spec, spec, spec, PartitionSpec(spec[0], None)),
        out_specs=spec,
        check_vma=False,  # the kernel does not declare the axes over which its outputs vary
    )(scaled, keys, values, segment_ids)


def _rows(
    queries: Float[Array, "b t heads head_dim"],
    keys: Float[Array, "b t kv_heads head_dim"],
    values: Float[Array, "b t kv_heads head_dim"],
    segment_ids: Int[Array, "b t"],
    *,
    window: int,
    softcap: float | None,
) -> Float[Array, "b t heads head_dim"]:
    """Apply the kernel, which takes one row, heads first."""
    # Imported here: it is experimental, and only TPUs need it.
    from jax.experimental.pallas.ops.tpu import splash_attention

    _, length, heads, _ = queries.shape
    one_head = (
        splash_attention.LocalMask((length, length), (window - 1, 0), 0)
        if window
        else splash_attention.CausalMask((length, length))
    )
    kernel = splash_attention.make_splash_mha(
        mask=splash_attention.MultiHeadMask([one_head] * heads),
        head_shards=1,
        q_seq_shards=1,
        attn_logits_soft_cap=softcap,
        interpret=platform() != "tpu",
    )

    def row(queries: Array, keys: Array, values: Array, segments: Array) -> Array:
        heads_first = (jnp.moveaxis(array, 1, 0) for array in (queries, keys, values))
        mixed: Any = kernel(*heads_first, segment_ids=splash_attention.SegmentIds(segments, segments))
        return jnp.moveaxis(mixed, 0, 1)

    return jax.vmap(row)(queries, keys, values, segment_ids)
