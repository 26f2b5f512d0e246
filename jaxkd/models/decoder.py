"""A decoder language model as pure functions over a nested dict of parameters.

    embedding        [v, d]
    positions        [max_positions, d], learned positions only
    blocks           the parameters of one `blocks.Block`, each with a layer axis in front
    final_norm       the parameters of one norm
    head             [v, d], where it is not the embedding

The stack is one `lax.scan` over the layer axis, so compile time does not grow with depth and
keeping some layers, reading between layers or replacing them are operations on the dict.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jaxkd.models import blocks, rope
from jaxkd.models.config import DecoderConfig
from jaxkd.models.split_apply import Split, split
from jaxkd.records import Head
from jaxkd.sharding import constrain
from jaxkd.typing import Key, Params


@functools.lru_cache
def _block(config: DecoderConfig) -> Split:
    return split(lambda rngs: blocks.Block(config, rngs))


@functools.lru_cache
def _norm(config: DecoderConfig) -> Split:
    return split(lambda rngs: blocks.norm(config, rngs))


def init(config: DecoderConfig, key: Key, dtype: DTypeLike = jnp.float32) -> Params:
    """Fresh parameters: matrices normal with deviation 0.02, norms 1, biases 0.

    Run it as `jax.jit(init, static_argnums=(0, 2), out_shardings=...)` to make each device draw
    only its own part.
    """
    block_key, norm_key, *table_keys = jax.random.split(key, 5)
    params: Params = {
        name: blocks.INITIAL_STD * jax.random.normal(table_key, leaf.shape)
        for table_key, (name, leaf) in zip(table_keys, _tables(config, jnp.float32).items(), strict=False)
    }
    params["blocks"] = jax.vmap(_block(config).init)(jax.random.split(block_key, config.depth))
    params["final_norm"] = _norm(config).init(norm_key)
    return jax.tree.map(lambda leaf: leaf.astype(dtype), params)


def abstract(config: DecoderConfig, dtype: DTypeLike = jnp.float32) -> Params:
    """The shape and dtype of each parameter, computing none."""
    struct = jax.ShapeDtypeStruct
    return {
        **_tables(config, dtype),
        "blocks": jax.tree.map(lambda leaf: struct((config.depth, *leaf.shape), dtype), _block(config).abstract),
        "final_norm": jax.tree.map(lambda leaf: struct(leaf.shape, dtype), _norm(config).abstract),
    }


def _tables(config: DecoderConfig, dtype: DTypeLike) -> Params:
    vocabulary = jax.ShapeDtypeStruct((config.vocab_size, config.width), dtype)
    tables = {"embedding": vocabulary}
    if config.position == "learned":
        tables["positions"] = jax.ShapeDtypeStruct((config.max_positions, config.width), dtype)
    if not config.tied:
        tables["head"] = vocabulary
    return tables


def _is_axes(leaf: object) -> bool:
    return isinstance(leaf, tuple)


def logical_axes(config: DecoderConfig) -> Params:
    """The parameters' dict with a tuple of names from `sharding.LOGICAL_TO_MESH` for each leaf."""
    table_axes = {"embedding": ("vocab", "embed"), "positions": (None, "embed"), "head": ("vocab", "embed")}
    return {
        **{name: table_axes[name] for name in _tables(config, jnp.float32)},
        "blocks": jax.tree.map(lambda axes: ("layers", *axes), _block(config).axes, is_leaf=_is_axes),
        "final_norm": _norm(config).axes,
    }


def parameter_count(config: DecoderConfig) -> int:
    """Number of scalars, a tied embedding counted once."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(abstract(config)))


def head(config: DecoderConfig, params: Params) -> Head:
    """The prediction head; reads `head_params` alone."""
    return Head(weight=params["embedding" if config.tied else "head"], vocab_size=config.vocab_size)


def head_params(config: DecoderConfig, params: Params) -> Params:
    """The part of the parameters that `head` reads."""
    name = "embedding" if config.tied else "head"
    return {name: params[name]}


def hidden_states(
    config: DecoderConfig,
    params: Params,
    tokens: Int[Array, "b t"],
    *,
    positions: Int[Array, "b t"],
    segment_ids: Int[Array, "b t"],
    key: Key | None = None,
    remat: bool = False,
) -> Float[Array, "b t d"]:
    """Hidden states after the final norm, in the dtype of `params`.

    Attention is causal and stays within equal `segment_ids`.  Padding is segment 0: it sees only
    padding, and its hidden states are finite and mean nothing.  Norms, softmax and rotations run in
    float32 whatever the parameters are.

    Args:
        positions: place of each token within its segment, from 0.
        key: draws dropout; without one there is none.
        remat: keep only each block's input for the backward pass and run the block again there.
    """
    columns = jnp.arange(tokens.shape[1])
    mask = (segment_ids[:, :, None] == segment_ids[:, None, :]) & (columns[:, None] >= columns[None, :])[None]

    def attend(layer: Array, queries: Array, keys: Array, values: Array, memory: None) -> tuple[Array, None]:
        return blocks.attention(queries, keys, values, mask), memory

    hiddens, _ = run(config, params, tokens, positions=positions, attend=attend, memory=None, key=key, remat=remat)
    return hiddens


def run(
    config: DecoderConfig,
    params: Params,
    tokens: Int[Array, "b t"],
    *,
    positions: Int[Array, "b t"],
    attend: Callable[..., tuple[Array, Any]],
    memory: Any,
    key: Key | None = None,
    remat: bool = False,
) -> tuple[Float[Array, "b t d"], Any]:
    """Embed, run every block and the final norm, with attention as given.

    Args:
        attend: `(layer, queries, keys, values, memory) -> (mixed values, memory)`.
        memory: arrays that pass from layer to layer through `attend`; a key/value cache, or None.

    Returns:
        The hidden states and the memory after the last layer.
    """
    angles = None
    if config.position == "rope":
        angles = rope.angles(config, positions, jnp.promote_types(params["embedding"].dtype, jnp.float32))
    embed_key, blocks_key = (None, None) if key is None else jax.random.split(key)
    block = _block(config)

    def step(carry: tuple[Array, Any], layer: tuple[Array, Params]) -> tuple[tuple[Array, Any], None]:
        (hiddens, memory), (index, weights) = carry, layer
        layer_key = None if blocks_key is None else jax.random.fold_in(blocks_key, index)
        attend_here = functools.partial(attend, index)
        return block.apply(weights, hiddens, angles, attend_here, memory, layer_key), None

    # Inside a scan nothing is merged with the forward pass anyway, so the barriers against it only cost.
    step = jax.checkpoint(step, prevent_cse=False) if remat else step
    hiddens = _embed(config, params, tokens, positions, embed_key)
    layers = (jnp.arange(config.depth), params["blocks"])
    (hiddens, memory), _ = jax.lax.scan(step, (hiddens, memory), layers)
    return _norm(config).apply(params["final_norm"], hiddens), memory


def _embed(config: DecoderConfig, params: Params, tokens: Array, positions: Array, key: Key | None) -> Array:
    # Gathered over fsdp first: a lookup in a table that is split both ways makes GSPMD replicate the
    # activations ("Involuntary full rematerialization").
    hiddens = constrain(constrain(params["embedding"], "vocab", None)[tokens], "rows", None, None)
    if config.position == "learned":
        hiddens += constrain(constrain(params["positions"], None, None)[positions], "rows", None, None)
    dropout = nnx.Dropout(config.dropout)
    return dropout(hiddens, deterministic=key is None, rngs=key)
