"""One decoder block as Flax modules.  The stack of them is the parameters with a layer axis in front."""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from jaxkd.models import rope
from jaxkd.models.config import DecoderConfig
from jaxkd.sharding import constrain
from jaxkd.typing import Key

Queries: TypeAlias = Float[Array, "b t heads head_dim"]
Keys: TypeAlias = Float[Array, "b s kv_heads head_dim"]

Attend: TypeAlias = Callable[[Queries, Keys, Keys, Any], tuple[Queries, Any]]
"""`(queries, keys, values, memory) -> (mixed values, memory)`: plain attention passes the memory
through, a key/value cache reads and writes it."""

INITIAL_STD = 0.02
"""Standard deviation of a fresh matrix, as GPT-2's; products that feed the residual stream get
`INITIAL_STD / sqrt(2 depth)`."""

_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "silu": jax.nn.silu,
    "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=True),
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "relu": jax.nn.relu,
}


def attention(queries: Queries, keys: Keys, values: Keys, mask: Bool[Array, "b t s"]) -> Queries:
    """Scaled dot-product attention with grouped key/value heads; scores and softmax in float32.

    Args:
        mask: which of the `s` keys each query sees; a query that sees none gets their plain mean.
    """
    rows, length, heads, head_dim = queries.shape
    kv_heads = keys.shape[2]
    grouped = queries.reshape(rows, length, kv_heads, heads // kv_heads, head_dim)
    precision = jnp.promote_types(queries.dtype, jnp.float32)
    scores = jnp.einsum("btkgh,bskh->bkgts", grouped, keys, preferred_element_type=precision) * head_dim**-0.5
    scores = jnp.where(mask[:, None, None], scores, jnp.finfo(precision).min)
    probs = jax.nn.softmax(scores, axis=-1).astype(values.dtype)
    return jnp.einsum("bkgts,bskh->btkgh", probs, values).reshape(rows, length, heads, head_dim)


def norm(config: DecoderConfig, rngs: nnx.Rngs) -> nnx.Module:
    """The config's norm; its statistics are in float32."""
    if config.norm == "rms":
        return nnx.RMSNorm(config.width, epsilon=config.norm_eps, scale_metadata={"axes": (None,)}, rngs=rngs)
    return nnx.LayerNorm(
        config.width,
        epsilon=config.norm_eps,
        use_fast_variance=False,  # E[x^2] - E[x]^2 cancels where the mean is large, as in GPT-2's residual stream.
        scale_metadata={"axes": (None,)},
        bias_metadata={"axes": (None,)},
        rngs=rngs,
    )


def _linear(
    inputs: dict[str | None, int], outputs: dict[str | None, int], *, bias: bool, std: float, rngs: nnx.Rngs
) -> nnx.LinearGeneral:
    """A product over the last axes; `inputs` and `outputs` give each axis its logical name and length."""
    return nnx.LinearGeneral(
        tuple(inputs.values()),
        tuple(outputs.values()),
        axis=tuple(range(-len(inputs), 0)),
        use_bias=bias,
        kernel_init=nnx.initializers.normal(std),
        kernel_metadata={"axes": (*inputs, *outputs)},
        # A bias over the embedding is added to activations that are whole there.
        bias_metadata={"axes": tuple(None if name == "embed" else name for name in outputs)},
        rngs=rngs,
    )


class Attention(nnx.Module):
    """Self-attention with grouped key/value heads and, where the config says so, rotary positions."""

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

    def __call__(
        self, inputs: Float[Array, "b t d"], angles: Float[Array, "b t half"] | None, attend: Attend, memory: Any
    ) -> tuple[Float[Array, "b t d"], Any]:
        queries = constrain(self.query(inputs), "rows", None, "heads", None)
        keys = constrain(self.key(inputs), "rows", None, "kv_heads", None)
        values = constrain(self.value(inputs), "rows", None, "kv_heads", None)
        if angles is not None:
            queries, keys = rope.rotate(queries, angles), rope.rotate(keys, angles)
        mixed, memory = attend(queries, keys, values, memory)
        return self.output(mixed), memory


class FeedForward(nnx.Module):
    """`down(act(gate(x)) * up(x))`, or `down(act(up(x)))` without a gate."""

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
        activate = _ACTIVATIONS[self.activation]
        up = constrain(self.up(inputs), "rows", None, "mlp")
        return self.down(activate(up) if self.gate is None else activate(self.gate(inputs)) * up)


class Block(nnx.Module):
    """Pre-norm attention, then a pre-norm feed-forward network, each added to the residual stream."""

    def __init__(self, config: DecoderConfig, rngs: nnx.Rngs):
        self.attention_norm = norm(config, rngs)
        self.attention = Attention(config, rngs)
        self.mlp_norm = norm(config, rngs)
        self.mlp = FeedForward(config, rngs)
        self.dropout = nnx.Dropout(config.dropout)

    def __call__(
        self,
        hiddens: Float[Array, "b t d"],
        angles: Float[Array, "b t half"] | None,
        attend: Attend,
        memory: Any,
        key: Key | None,
    ) -> tuple[Float[Array, "b t d"], Any]:
        keys = (None, None) if key is None else jax.random.split(key)
        mixed, memory = self.attention(self.attention_norm(hiddens), angles, attend, memory)
        hiddens += self.dropout(mixed, deterministic=key is None, rngs=keys[0])
        fed = self.mlp(self.mlp_norm(hiddens))
        hiddens += self.dropout(fed, deterministic=key is None, rngs=keys[1])
        return constrain(hiddens, "rows", None, None), memory
