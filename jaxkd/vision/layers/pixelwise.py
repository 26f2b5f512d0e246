"""Linear maps of the channels of each pixel or token."""

from flax import nnx


def linear(before: int, after: int, *, rngs: nnx.Rngs, bias: bool = True) -> nnx.Linear:
    """Return a linear map of the channels.  Weights are drawn from Normal(0, 0.02^2), the bias is 0.

    Published networks truncate the weights at -2 and 2 as torch does by default, which is 100 deviations away.
    """
    return nnx.Linear(before, after, use_bias=bias, kernel_init=nnx.initializers.normal(0.02), rngs=rngs)


def pixelwise(before: int, after: int, *, rngs: nnx.Rngs) -> nnx.Linear:
    """Return a convolution of size 1 as a linear map.  Weights are drawn from Normal(0, 2 / after), the bias is 0."""
    kernel_init = nnx.initializers.variance_scaling(2.0, "fan_out", "normal")
    return nnx.Linear(before, after, kernel_init=kernel_init, rngs=rngs)
