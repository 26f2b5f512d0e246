"""Linear maps and convolutions of MISSFormer, and the distributions that their weights are drawn from."""

from typing import Literal, TypeAlias

from flax import nnx
from jax.nn.initializers import Initializer

from jaxkd.vision.layers import Depthwise, uniform_by_inputs

Distribution: TypeAlias = Literal["fan_in", "xavier"]
"""Distribution of the initial weights.

- `fan_in`: U(-b, b) with b = 1 / sqrt(inputs), for weights and biases: in encoder and bridge.
- `xavier`: U(-b, b) with b = sqrt(6 / (inputs + outputs)), and biases of 0: in the decoder.
"""


def linear(before: int, after: int, distribution: Distribution, *, bias: bool = True, rngs: nnx.Rngs) -> nnx.Linear:
    """Return a linear map of the channels."""
    return nnx.Linear(
        before,
        after,
        use_bias=bias,
        kernel_init=_kernel_init(distribution, before),
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
        kernel_init=_kernel_init(distribution, before * size**2),
        bias_init=_bias_init(distribution, before * size**2),
        rngs=rngs,
    )


def depthwise(features: int, size: int, distribution: Distribution, *, rngs: nnx.Rngs) -> Depthwise:
    """Return a depthwise convolution."""
    return Depthwise(
        features,
        size,
        kernel_init=_kernel_init(distribution, size**2),
        bias_init=_bias_init(distribution, size**2),
        rngs=rngs,
    )


def _kernel_init(distribution: Distribution, inputs: int) -> Initializer:
    xavier = nnx.initializers.variance_scaling(1.0, "fan_avg", "uniform")
    return uniform_by_inputs(inputs) if distribution == "fan_in" else xavier


def _bias_init(distribution: Distribution, inputs: int) -> Initializer:
    return uniform_by_inputs(inputs) if distribution == "fan_in" else nnx.initializers.zeros
