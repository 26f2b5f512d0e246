"""Importance of each head, feed-forward unit and channel of a decoder on batches of text."""

import functools
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxkd.models.surgery.width_pruning import Importance
from jaxkd.models.transformer import attention, blocks, decoder
from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.networks.functional import Functional, functional
from jaxkd.records import TokenBatch
from jaxkd.typing import Params

Statistic: TypeAlias = Literal["mean_absolute", "root_mean_square"]
"""Reduction of the activations of all tokens to one number."""

_OBSERVED = ("attention.query", "attention.output", "mlp.up", "mlp.down")
"""Products to observe; their inputs are the normed stream, heads, the normed stream again, units."""


def activation_importance(
    config: DecoderConfig,
    params: Params,
    batches: Iterable[TokenBatch],
    *,
    statistic: Statistic = "root_mean_square",
) -> Importance:
    """Measure the size of activations over all tokens of the batches, without padding.

    A head's size is the norm of its input to the output product, a unit's its value after activation and gate, a
    channel's its value after each norm, summed over the norms of all layers and the final one.

    Args:
        config: architecture of the model.
        params: parameters of the model, on the ambient mesh if there is one.
        batches: calibration text; a few thousand tokens.
        statistic: mean of abs(x), or root of the mean of x^2, over the tokens.

    Raises:
        ValueError: an unknown statistic, or no token.

    Source: Minitron, arXiv 2407.14679, section 2.2, equation 1.  Deviation: units are measured after the gate, which
    determines the input of the next product; one aggregation serves rows and tokens.
    """
    if statistic not in get_args(Statistic):
        raise ValueError(f"statistic must be one of {', '.join(get_args(Statistic))}, got {statistic!r}.")
    power = _POWERS[statistic]
    sums = [
        jax.device_get(_sums(config, params, batch.tokens, batch.positions, batch.segment_ids, power=power))
        for batch in batches
    ]
    tokens = sum(int(one.tokens) for one in sums)
    if not tokens:
        raise ValueError("batches must hold at least one token that is not padding, got none. Give calibration text.")

    def mean(parts: Sequence[np.ndarray]) -> np.ndarray:
        return (np.stack(parts).sum(axis=0, dtype=np.float64) / tokens) ** (1 / power)

    return Importance(
        heads=mean([one.heads for one in sums]),
        neurons=mean([one.neurons for one in sums]),
        channels=mean([one.channels for one in sums]).sum(axis=0),
    )


_POWERS: dict[Statistic, int] = {"mean_absolute": 1, "root_mean_square": 2}


class _Sums(NamedTuple):
    """Sums of powers over the tokens of one batch."""

    heads: Float[Array, "l heads"]
    neurons: Float[Array, "l mlp_width"]
    channels: Float[Array, "norms d"]
    tokens: Int[Array, ""]


@functools.lru_cache
def _block(config: DecoderConfig) -> Functional:
    return functional(lambda rngs: blocks.Block(config, rngs))


@functools.partial(jax.jit, static_argnames=("config", "power"))
def _sums(
    config: DecoderConfig,
    params: Params,
    tokens: Int[Array, "b t"],
    positions: Int[Array, "b t"],
    segment_ids: Int[Array, "b t"],
    *,
    power: int,
) -> _Sums:
    real = segment_ids > 0

    def summed(values: Float[Array, "b t *parts"]) -> Float[Array, "*parts"]:
        sizes = jnp.abs(values.astype(jnp.float32)) ** power
        return jnp.sum(sizes, axis=(0, 1), where=jnp.expand_dims(real, tuple(range(2, values.ndim))))

    def observed(*args: Any) -> tuple[Array, Any, Any]:
        (hiddens, memory, _), inputs = _block(config).observe(_OBSERVED, *args)
        heads = jnp.linalg.norm(inputs["attention.output"].astype(jnp.float32), axis=-1)
        channels = jnp.stack([summed(inputs["attention.query"]), summed(inputs["mlp.up"])])
        return hiddens, memory, (summed(heads), summed(inputs["mlp.down"]), channels)

    def attend(layer: decoder.Layer, queries: Array, keys: Array, values: Array, memory: None) -> tuple:
        mixed = attention.attention(
            queries,
            keys,
            values,
            segment_ids=segment_ids,
            window=layer.window,
            softcap=config.attention_softcap,
            scale=config.score_scale,
            backend="xla",
        )
        return mixed, memory, None

    passed = decoder.run(
        config,
        params,
        tokens,
        positions=positions,
        attend=attend,
        apply=observed,
        keep=lambda hiddens, tap: tap,
    )
    heads, neurons, channels = passed.kept
    return _Sums(
        heads=heads,
        neurons=neurons,
        channels=jnp.concatenate([channels.reshape(-1, config.width), summed(passed.final)[None]]),
        tokens=jnp.sum(real),
    )
