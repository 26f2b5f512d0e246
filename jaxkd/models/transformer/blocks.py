"""One decoder block as Flax modules.  A stack of blocks has the same parameters with a leading layer axis."""

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxkd.models.transformer import lora, rope
from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.models.transformer.attention import Keys, Queries
from jaxkd.sharding import constrain
from jaxkd.typing import Key

Attend: TypeAlias = Callable[[Queries, Keys, Keys, Any], tuple[Queries, Any, Any]]
"""Function `(queries, keys, values, memory) -> (mixed values, memory, tap)`: plain attention passes the memory through,
a key/value cache reads and writes it; the tap is an output of the scores, or None."""

INITIAL_STD = 0.02
"""Standard deviation of an initialised matrix, as in GPT-2; products that feed the residual stream get
`INITIAL_STD / sqrt(2 depth)`."""

_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "silu": jax.nn.silu,
    "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=True),
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "relu": jax.nn.relu,
}


class RMSNorm(nnx.Module):
    """RMS norm `x / sqrt(mean(x^2) + eps) * (offset + scale)` over the last axis, in float32 and rounded once."""

    def __init__(self, width: int, *, eps: float, offset: float):
        self.scale = nnx.Param(jnp.full(width, 1 - offset), axes=(None,))
        self.eps, self.offset = eps, offset

    def __call__(self, inputs: Float[Array, "*batch d"]) -> Float[Array, "*batch d"]:
        precision = jnp.promote_types(inputs.dtype, jnp.float32)
        wide = inputs.astype(precision)
        factor = jax.lax.rsqrt(jnp.mean(jnp.square(wide), axis=-1, keepdims=True) + self.eps)
        scale = jnp.expand_dims(self.offset + self.scale[...].astype(precision), tuple(range(wide.ndim - 1)))
        # In this order the backward pass stores one array of the size of the inputs, not two.
        return (wide * (factor * scale)).astype(inputs.dtype)


def norm(config: DecoderConfig, rngs: nnx.Rngs, width: int | None = None) -> nnx.Module:
    """Make the config's norm over `width` entries, by default the hidden width; its statistics are in float32."""
    width = config.width if width is None else width
    if config.norm != "layer":
        return RMSNorm(width, eps=config.norm_eps, offset=1.0 if config.norm == "rms_plus_one" else 0.0)
    return nnx.LayerNorm(
        width,
        epsilon=config.norm_eps,
        use_fast_variance=False,  # E[x^2] - E[x]^2 cancels if the mean is large, as in GPT-2's residual stream.
        scale_metadata={"axes": (None,)},
        bias_metadata={"axes": (None,)},
        rngs=rngs,
    )


def _linear(
    inputs: dict[str | None, int], outputs: dict[str | None, int], *, bias: bool, std: float, rngs: nnx.Rngs
) -> nnx.LinearGeneral:
    """Make a product over the last axes; `inputs` and `outputs` give each axis its logical name and length."""
    return lora.Linear(
        tuple(inputs.values()),
        tuple(outputs.values()),
        axis=tuple(range(-len(inputs), 0)),
        use_bias=bias,
        kernel_init=nnx.initializers.normal(std),
        kernel_metadata={"axes": (*inputs, *outputs)},
        # A bias over the embedding axis is added to activations that are not split there.
        bias_metadata={"axes": tuple(None if name == "embed" else name for name in outputs)},
        rngs=rngs,
    )


class Attention(nnx.Module):
    """Self-attention with grouped key/value heads, optionally with normed and rotated queries and keys."""

    def __init__(self, config: DecoderConfig, rngs: nnx.Rngs):
        def project(axis: str, heads: int) -> nnx.LinearGeneral:
            return _linear(
                {"embed": config.width},
                {axis: heads, None: config.head_dim},
                bias=config.query_key_value_bias,
                std=INITIAL_STD,
                rngs=rngs,
            )

        self.query = project("heads", config.heads)
        self.key = project("kv_heads", config.kv_heads)
        self.value = project("kv_heads", config.kv_heads)
        self.output = _linear(
            {"heads": config.heads, None: config.head_dim},
            {"embed": config.width},
            bias=config.output_bias,
            std=INITIAL_STD / (2 * config.depth) ** 0.5,
            rngs=rngs,
        )
        self.query_norm = norm(config, rngs, config.head_dim) if config.query_key_norm else None
        self.key_norm = norm(config, rngs, config.head_dim) if config.query_key_norm else None

    def __call__(
        self, inputs: Float[Array, "b t d"], rotation: rope.Rotation | None, attend: Attend, memory: Any
    ) -> tuple[Float[Array, "b t d"], Any, Any]:
        queries = constrain(self.query(inputs), "rows", None, "heads", None)
        keys = constrain(self.key(inputs), "rows", None, "kv_heads", None)
        values = constrain(self.value(inputs), "rows", None, "kv_heads", None)
        if self.query_norm is not None and self.key_norm is not None:
            queries, keys = self.query_norm(queries), self.key_norm(keys)
        if rotation is not None:
            queries, keys = rope.rotate(queries, rotation), rope.rotate(keys, rotation)
        mixed, memory, tap = attend(queries, keys, values, memory)
        return self.output(mixed), memory, tap


class FeedForward(nnx.Module):
    """Feed-forward network `down(act(gate(x)) * up(x))`, or `down(act(up(x)))` without a gate."""

    def __init__(self, config: DecoderConfig, rngs: nnx.Rngs):
        def widen() -> nnx.LinearGeneral:
            return _linear(
                {"embed": config.width}, {"mlp": config.mlp_width}, bias=config.mlp_bias, std=INITIAL_STD, rngs=rngs
            )

        self.up = widen()
        self.gate = widen() if config.gated else None
        self.down = _linear(
            {"mlp": config.mlp_width},
            {"embed": config.width},
            bias=config.mlp_bias,
            std=INITIAL_STD / (2 * config.depth) ** 0.5,
            rngs=rngs,
        )
        self.activation = config.activation

    def __call__(self, inputs: Float[Array, "b t d"]) -> Float[Array, "b t d"]:
        up = constrain(self.up(inputs), "rows", None, "mlp")
        return self.down(_activated(self.activation, up, None if self.gate is None else self.gate(inputs)))


@functools.partial(jax.checkpoint, prevent_cse=False, static_argnums=0)
def _activated(
    activation: str, up: Float[Array, "b t mlp"], gate: Float[Array, "b t mlp"] | None
) -> Float[Array, "b t mlp"]:
    """Activate and multiply; the backward pass does so again rather than store what lies between."""
    activate = _ACTIVATIONS[activation]
    return activate(up) if gate is None else activate(gate) * up


class Block(nnx.Module):
    """Attention and a feed-forward network on normed inputs, each added to the residual stream."""

    def __init__(self, config: DecoderConfig, rngs: nnx.Rngs):
        self.attention_norm = norm(config, rngs)
        self.attention = Attention(config, rngs)
        self.attention_output_norm = norm(config, rngs) if config.branch_output_norms else None
        self.mlp_norm = norm(config, rngs)
        self.mlp = FeedForward(config, rngs)
        self.mlp_output_norm = norm(config, rngs) if config.branch_output_norms else None
        self.dropout = nnx.Dropout(config.dropout)
        self.parallel = config.parallel_branches

    def __call__(
        self,
        hiddens: Float[Array, "b t d"],
        rotation: rope.Rotation | None,
        attend: Attend,
        memory: Any,
        key: Key | None,
    ) -> tuple[Float[Array, "b t d"], Any, Any]:
        keys = (None, None) if key is None else jax.random.split(key)
        lora.hand_out_keys(self, key)
        mixed, memory, tap = self.attention(self.attention_norm(hiddens), rotation, attend, memory)
        if self.attention_output_norm is not None:
            mixed = self.attention_output_norm(mixed)
        attended = hiddens + self.dropout(mixed, deterministic=key is None, rngs=keys[0])
        fed = self.mlp(self.mlp_norm(hiddens if self.parallel else attended))
        if self.mlp_output_norm is not None:
            fed = self.mlp_output_norm(fed)
        hiddens = attended + self.dropout(fed, deterministic=key is None, rngs=keys[1])
        return constrain(hiddens, "rows", None, None), memory, tap
