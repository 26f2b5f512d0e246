"""Rotary position embeddings, in the half-split layout of the Hugging Face checkpoints."""

import math

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jaxkd.models.config import DecoderConfig, LinearScaling, Llama3Scaling


def frequencies(config: DecoderConfig) -> np.ndarray:
    """Radians that each of the `head_dim / 2` pairs turns by in one position, float64."""
    pairs = np.arange(0, config.head_dim, 2, dtype=np.float64) / config.head_dim
    plain = config.rope_theta**-pairs
    match config.rope_scaling:
        case None:
            return plain
        case LinearScaling(factor=factor):
            return plain / factor
        case Llama3Scaling() as scaling:
            turns = scaling.original_positions * plain / (2 * math.pi)
            low, high = scaling.low_frequency_factor, scaling.high_frequency_factor
            kept = np.clip((turns - low) / (high - low), 0.0, 1.0)
            return kept * plain + (1 - kept) * plain / scaling.factor


def angles(config: DecoderConfig, positions: Int[Array, "b t"], dtype: DTypeLike) -> Float[Array, "b t half"]:
    """Rotation of each pair at each position, in radians, in `dtype`.

    bfloat16 has 8 bits: at position 300 it could not tell 300 from 301, so callers pass float32 or wider.
    """
    return positions[..., None].astype(dtype) * jnp.asarray(frequencies(config), dtype)[None, None]


def rotate(
    values: Float[Array, "b t heads head_dim"], by: Float[Array, "b t half"]
) -> Float[Array, "b t heads head_dim"]:
    """Turn the pairs `(values[i], values[i + head_dim / 2])`, in the precision of `by`."""
    cosine, sine = jnp.cos(by)[:, :, None], jnp.sin(by)[:, :, None]
    first, second = jnp.split(values.astype(by.dtype), 2, axis=-1)
    turned = jnp.concatenate([first * cosine - second * sine, second * cosine + first * sine], axis=-1)
    return turned.astype(values.dtype)
