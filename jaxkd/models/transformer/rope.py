"""Rotary position embeddings, in the half-split layout of the Hugging Face checkpoints."""

import math
from typing import NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jaxkd.models.transformer.architecture import DecoderConfig, LinearScaling, Llama3Scaling, Rope, YarnScaling

Scaling: TypeAlias = LinearScaling | Llama3Scaling | YarnScaling | None


class Rotation(NamedTuple):
    """Rotation of each pair at each position."""

    cosine: Float[Array, "*layers b t half"]
    sine: Float[Array, "*layers b t half"]


def frequencies(dims: int, theta: float, scaling: Scaling) -> Float[np.ndarray, " half"]:
    """Return the radians by which each of the `dims / 2` pairs turns per position, float32.

    They are rounded as in transformers: one bit of a frequency is 5e-4 radians at position 8,000.

    Args:
        dims: number of rotated entries of a head.
        theta: base of the geometric series.
        scaling: scaling of the series after training.
    """
    one = np.float32(1)
    powers = theta ** (np.arange(0, dims, 2, dtype=np.float32) / np.float32(dims)).astype(np.float64)
    plain = one / powers.astype(np.float32)
    match scaling:
        case None:
            return plain
        case LinearScaling(factor=factor):
            return plain / np.float32(factor)
        case Llama3Scaling():
            turns = scaling.original_positions / (np.float32(2 * math.pi) / plain)
            low, high = scaling.low_frequency_factor, scaling.high_frequency_factor
            kept = np.clip((turns - np.float32(low)) / np.float32(high - low), 0, 1)
            return (one - kept) * plain / np.float32(scaling.factor) + kept * plain
        case YarnScaling():
            kept = one - _yarn_ramp(dims, theta, scaling)
            slow = one / (np.float32(scaling.factor) * powers.astype(np.float32))
            return slow * (one - kept) + plain * kept


def _yarn_ramp(dims: int, theta: float, scaling: YarnScaling) -> Float[np.ndarray, " half"]:
    """Return 0 for unchanged pairs, 1 for pairs divided by the whole factor, and the ramp between."""

    def pair(turns: float) -> float:
        """Return the index of the pair that makes that many turns within the original length."""
        return dims * math.log(scaling.original_positions / (turns * 2 * math.pi)) / (2 * math.log(theta))

    first, last = pair(scaling.fast_turns), pair(scaling.slow_turns)
    if scaling.whole_pairs:
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, dims - 1)
    width = last - first if last != first else 0.001  # as in transformers: a step instead of a division by 0
    return np.clip((np.arange(dims // 2, dtype=np.float32) - np.float32(first)) / np.float32(width), 0, 1)


def rotation(config: DecoderConfig, kind: Rope, positions: Int[Array, "b t"], dtype: DTypeLike) -> Rotation:
    """Return the rotation of each pair at each position, in `dtype`; the identity for `kind` "none".

    bfloat16 has 8 bits and cannot distinguish position 300 from 301, so callers pass float32 or wider.
    """
    if kind == "none":
        shape = (*positions.shape, config.rotary_dim // 2)
        return Rotation(jnp.ones(shape, dtype), jnp.zeros(shape, dtype))
    theta, scaling = config.rope_theta, config.rope_scaling
    if kind == "local" and config.local_rope_theta is not None:
        theta, scaling = config.local_rope_theta, None
    amplitude = scaling.amplitude if isinstance(scaling, YarnScaling) else 1.0
    turns = jnp.asarray(frequencies(config.rotary_dim, theta, scaling), dtype)
    angles = positions[..., None].astype(dtype) * turns[None, None]
    return Rotation(amplitude * jnp.cos(angles), amplitude * jnp.sin(angles))


def rotate(values: Float[Array, "b t heads head_dim"], by: Rotation) -> Float[Array, "b t heads head_dim"]:
    """Rotate the pairs `(values[i], values[i + half])`, in the precision of `by`; later entries are unchanged."""
    half = by.cosine.shape[-1]
    cosine, sine = by.cosine[:, :, None], by.sine[:, :, None]
    first, second, rest = jnp.split(values, (half, 2 * half), axis=-1)
    first, second = first.astype(cosine.dtype), second.astype(cosine.dtype)
    turned = (first * cosine - second * sine, second * cosine + first * sine)
    return jnp.concatenate([*(part.astype(values.dtype) for part in turned), rest], axis=-1)
