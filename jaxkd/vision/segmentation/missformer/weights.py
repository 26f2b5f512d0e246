"""Linear maps and convolutions of MISSFormer, and the distributions that their weights are drawn from."""

import functools
from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
from flax import nnx
from jax.nn.initializers import Initializer

from jaxkd.typing import Key
from jaxkd.vision.layers import Depthwise

Distribution: TypeAlias = Literal["fan_in", "xavier"]
"""Distribution of the initial weights.

- `fan_in`: U(-b, b) with b = 1 / sqrt(inputs), weights and biases: torch's default, in encoder and bridge.
- `xavier`: U(-b, b) with b = sqrt(6 / (inputs + outputs)), and biases of 0: in the decoder.
"""


def linear(before: int, after: int, distribution: Distribution, *, bias: bool = True, rngs: nnx.Rngs) -> nnx.Linear:
    """Return a linear map of the channels."""
    return nnx.Linear(
        before,
        after,
        use_bias=bias,
        kernel_init=_kernel_init(distribution),
        bias_init=_bias_init(distribution, before),
        rngs=rngs,
    )


def strided(
    before: int, after: int, size: int, distribution: Distribution, *, stride: int, padding: int = 0, rngs: nnx.Rngs
) -> nnx.Conv:
    """Return a convolution with `padding` zeros on each side, whose results are `stride` pixels apart."""
    return nnx.Conv(
        before,
        after,
        (size, size),
        strides=stride,
        padding=[(padding, padding)] * 2,
        kernel_init=_kernel_init(distribution),
        bias_init=_bias_init(distribution, before * size**2),
        rngs=rngs,
    )


def depthwise(features: int, size: int, distribution: Distribution, *, rngs: nnx.Rngs) -> Depthwise:
    """Return a depthwise convolution."""
    return Depthwise(
        features,
        size,
        kernel_init=_kernel_init(distribution),
        bias_init=_bias_init(distribution, size**2),
        rngs=rngs,
    )


def _kernel_init(distribution: Distribution) -> Initializer:
    # A uniform distribution of variance s / n is bounded by sqrt(3 s / n).
    if distribution == "fan_in":
        return nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
    return nnx.initializers.variance_scaling(1.0, "fan_avg", "uniform")


def _bias_init(distribution: Distribution, inputs: int) -> Initializer:
    return functools.partial(_uniform, inputs**-0.5) if distribution == "fan_in" else nnx.initializers.zeros


def _uniform(bound: float, key: Key, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32, **_: object) -> jax.Array:
    return jax.random.uniform(key, shape, dtype, -bound, bound)
