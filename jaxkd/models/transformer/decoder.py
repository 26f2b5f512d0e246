"""A decoder language model as pure functions over a nested dict of parameters.

    embedding        [v, d]
    positions        [max_positions, d], learned positions only
    blocks           the parameters of one `blocks.Block`, each with a leading layer axis
    final_norm       the parameters of one norm
    head             [v, d], unless it is the embedding

The stack is one `lax.scan` over the layer axis, so compile time does not grow with depth, and selecting, reading or
replacing layers are operations on the dict.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jaxkd.models.transformer import attention, blocks, lora, rope
from jaxkd.models.transformer.architecture import DecoderConfig, LayerKind
from jaxkd.models.transformer.attention import BackendChoice
from jaxkd.networks.functional import Functional, functional
from jaxkd.records import Head
from jaxkd.sharding import constrain
from jaxkd.typing import Key, Params

Remat = Literal["none", "dots", "full"]
"""Values that a block's forward pass stores for the backward pass: everything but attention's scores and the steps of
an activation, the results of the products with parameters, or only the block's input.  The rest is recomputed."""


@functools.lru_cache
def _block(config: DecoderConfig) -> Functional:
    return functional(lambda rngs: lora.adapt(blocks.Block(config, rngs), config.lora, rngs))


@functools.lru_cache
def _norm(config: DecoderConfig) -> Functional:
    return functional(lambda rngs: blocks.norm(config, rngs))


def init(config: DecoderConfig, key: Key, dtype: DTypeLike = jnp.float32) -> Params:
    """Initialise parameters: matrices normal with standard deviation 0.02, norms of unit gain, biases 0.

    Run it as `jax.jit(init, static_argnums=(0, 2), out_shardings=...)` so that each device samples only its own part.
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
    """Return the shape and dtype of each parameter, without computing any."""
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
    """Return the parameters' dict with a tuple of names from `sharding.LOGICAL_TO_MESH` for each leaf."""
    table_axes = {"embedding": ("vocab", "embed"), "positions": (None, "embed"), "head": ("vocab", "embed")}
    return {
        **{name: table_axes[name] for name in _tables(config, jnp.float32)},
        "blocks": jax.tree.map(lambda axes: ("layers", *axes), _block(config).axes, is_leaf=_is_axes),
        "final_norm": _norm(config).axes,
    }


def parameter_count(config: DecoderConfig) -> int:
    """Return the number of scalars, a tied embedding counted once."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(abstract(config)))


def head(config: DecoderConfig, params: Params) -> Head:
    """Return the prediction head; reads only `head_params`."""
    weight = params["embedding" if config.tied else "head"]
    return Head(weight=weight, softcap=config.logit_softcap, vocab_size=config.tokens or config.vocab_size)


def head_params(config: DecoderConfig, params: Params) -> Params:
    """Return the part of the parameters that `head` reads."""
    name = "embedding" if config.tied else "head"
    return {name: params[name]}


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Layer:
    """Position of a block in the stack.  The scan takes those of all layers and passes each block its own."""

    index: Int[Array, "*l"]
    window: Int[Array, "*l"] | int
    """Window of the layer; a Python int if all layers have the same."""
    kind: Int[Array, "*l"]
    """Index among the distinct `config.layer_kinds`, in their order."""


def hidden_states(
    config: DecoderConfig,
    params: Params,
    tokens: Int[Array, "b t"],
    *,
    positions: Int[Array, "b t"],
    segment_ids: Int[Array, "b t"] | None,
    key: Key | None = None,
    remat: Remat = "none",
    backend: BackendChoice = "auto",
) -> Float[Array, "b t d"]:
    """Return the hidden states after the final norm, in the dtype of `params`.

    Attention is causal and stays within equal `segment_ids`.  Padding is segment 0: it attends only to padding, and its
    hidden states are finite but meaningless.  Norms, softmax and rotations run in float32 for any parameter dtype.

    Args:
        positions: position of each token within its segment, from 0.
        segment_ids: segment of each token; None if each row is one segment that begins in column 0.
        key: random key for dropout; None disables it.
        remat: values recomputed in the backward pass.
        backend: implementation of attention.
    """
    case = attention.Case(
        dtype=params["embedding"].dtype,
        head_dim=config.head_dim,
        length=tokens.shape[1],
        cached=False,
        segments=segment_ids is not None,
        softcap=config.attention_softcap is not None,
        static_window=True,  # if windows differ, the program has a branch for each
    )
    chosen = attention.choose(backend, case)
    # Scores and probabilities are larger than all else in a block, and cost less to compute again than to store.
    scored_again = remat == "none" and chosen not in attention.FUSED

    def attend(layer: Layer, queries: Array, keys: Array, values: Array, memory: None) -> tuple[Array, None, None]:
        def within(window: Array | int) -> Array:
            mixed = functools.partial(
                attention.attention,
                segment_ids=segment_ids,
                window=window,
                softcap=config.attention_softcap,
                scale=config.score_scale,
                backend=chosen,
            )
            return (jax.checkpoint(mixed, prevent_cse=False) if scored_again else mixed)(queries, keys, values)

        if chosen in attention.FUSED and not isinstance(layer.window, int):
            branches = [functools.partial(within, kind.window) for kind in _kinds(config)]
            return jax.lax.switch(layer.kind, branches), memory, None
        return within(layer.window), memory, None

    return run(config, params, tokens, positions=positions, attend=attend, key=key, remat=remat).final


class Pass(NamedTuple):
    """Outputs of a forward pass through the stack."""

    embedded: Float[Array, "b t d"]
    """Residual stream before the first block."""
    final: Float[Array, "b t d"]
    """Hidden states after the final norm."""
    memory: Any
    """Memory after the last block."""
    kept: Any
    """Results of `keep`, with a leading layer axis."""


def run(
    config: DecoderConfig,
    params: Params,
    tokens: Int[Array, "b t"],
    *,
    positions: Int[Array, "b t"],
    attend: Callable[..., tuple[Array, Any, Any]],
    memory: Any = None,
    key: Key | None = None,
    remat: Remat = "none",
    apply: Callable[..., tuple[Array, Any, Any]] | None = None,
    keep: Callable[[Array, Any], Any] = lambda hiddens, tap: None,
) -> Pass:
    """Embed, run every block and the final norm with the given attention, in one scan over the layers.

    Args:
        positions: position of each token within its segment, from 0.
        attend: `(layer, queries, keys, values, memory) -> (mixed values, memory, tap)`; `layer` is a `Layer`, and the
            tap an output of the scores, or None.
        memory: arrays passed from layer to layer through `attend`: a key/value cache, or None.
        key: random key for dropout; None disables it.
        remat: values recomputed in the backward pass.
        apply: function of a block, `(weights, hiddens, rotation, attend, memory, key) -> (hiddens, memory, tap)`;
            None is `blocks.Block`.
        keep: `(residual stream after a block, tap) -> value` to store for that block.
    """
    rotations = _rotations(config, params, positions)
    layers, window = _layers(config)
    embed_key, blocks_key = (None, None) if key is None else jax.random.split(key)
    apply = _block(config).apply if apply is None else apply

    def step(carry: tuple[Array, Any], scanned: tuple[Layer, Params]) -> tuple[tuple[Array, Any], Any]:
        (hiddens, memory), (layer, weights) = carry, scanned
        layer = layer if window is None else dataclasses.replace(layer, window=window)
        layer_key = None if blocks_key is None else jax.random.fold_in(blocks_key, layer.index)
        rotation = jax.tree.map(lambda table: table[0 if len(table) == 1 else layer.kind], rotations)
        attend_here = functools.partial(attend, layer)
        hiddens, memory, tap = apply(weights, hiddens, rotation, attend_here, memory, layer_key)
        return (hiddens, memory), keep(hiddens, tap)

    embedded = _embed(config, params, tokens, positions, embed_key)
    (hiddens, memory), kept = jax.lax.scan(_checkpointed(step, remat), (embedded, memory), (layers, params["blocks"]))
    return Pass(embedded=embedded, final=final_norm(config, params, hiddens), memory=memory, kept=kept)


def final_norm(config: DecoderConfig, params: Params, hiddens: Float[Array, "*batch d"]) -> Float[Array, "*batch d"]:
    """Apply the norm between the residual stream and the head."""
    return _norm(config).apply(params["final_norm"], hiddens)


def _kinds(config: DecoderConfig) -> tuple[LayerKind, ...]:
    """Return the distinct kinds of layers, in order of first occurrence."""
    return tuple(dict.fromkeys(config.layer_kinds))


def _layers(config: DecoderConfig) -> tuple[Layer, int | None]:
    """Return the layers to scan beside the parameters, and the window if all layers share it."""
    kinds, windows = _kinds(config), [kind.window for kind in config.layer_kinds]
    layers = Layer(
        index=jnp.arange(config.depth),
        window=jnp.asarray(windows, jnp.int32),
        kind=jnp.asarray([kinds.index(kind) for kind in config.layer_kinds], jnp.int32),
    )
    return layers, windows[0] if len(set(windows)) == 1 else None


def _rotations(config: DecoderConfig, params: Params, positions: Array) -> rope.Rotation | None:
    """Return the rotations of each kind of layer, stacked: computed once, not in every layer."""
    if config.position != "rope":
        return None
    precision = jnp.promote_types(params["embedding"].dtype, jnp.float32)
    tables = [rope.rotation(config, kind.rope, positions, precision) for kind in _kinds(config)]
    return jax.tree.map(lambda *parts: jnp.stack(parts), *tables)


def _checkpointed(step: Callable, remat: Remat) -> Callable:
    # Inside a scan, recomputation is never merged with the forward pass, so barriers against that only cost time.
    match remat:
        case "none":
            return step
        case "full":
            return jax.checkpoint(step, prevent_cse=False)
        case "dots":
            policy = jax.checkpoint_policies.dots_with_no_batch_dims_saveable
            return jax.checkpoint(step, prevent_cse=False, policy=policy)
    raise ValueError(f"remat must be none, dots or full, got {remat!r}.")


def _embed(config: DecoderConfig, params: Params, tokens: Array, positions: Array, key: Key | None) -> Array:
    # Gather over fsdp first: a lookup in a table split both ways makes GSPMD replicate the activations ("Involuntary
    # full rematerialization").
    hiddens = constrain(constrain(params["embedding"], "vocab", None)[tokens], "rows", None, None)
    if config.scaled_embedding:
        # sqrt(3072) is 55.5 in bfloat16, and the models were trained with that.
        hiddens *= jnp.asarray(config.width**0.5, hiddens.dtype)
    if config.position == "learned":
        hiddens += constrain(constrain(params["positions"], None, None)[positions], "rows", None, None)
    dropout = nnx.Dropout(config.dropout)
    return dropout(hiddens, deterministic=key is None, rngs=key)
