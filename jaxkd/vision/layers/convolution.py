"""Convolutions, initialised as the published segmentation networks are."""

from flax import nnx
from jax.nn.initializers import Initializer


def conv(
    before: int,
    after: int,
    size: int,
    *,
    rngs: nnx.Rngs,
    stride: int = 1,
    padding: int | None = None,
    dilation: int = 1,
    groups: int = 1,
    bias: bool = True,
    kernel_init: Initializer | None = None,
    bias_init: Initializer = nnx.initializers.zeros,
) -> nnx.Conv:
    """Return a 2-D convolution on [b, h, w, c] with zero padding.

    By default weights are drawn from Normal(0, 2 / (size^2 after / groups)), and the bias is 0.

    Args:
        before: channels of the inputs.
        after: channels of the outputs.
        size: side of the kernel.
        rngs: source of the weights.
        stride: step between outputs.
        padding: zeros on each side; None keeps the size at stride 1.
        dilation: distance between the inputs that neighbouring weights read.
        groups: parts that the channels fall into, each convolved by itself.
        bias: whether a bias is added.
        kernel_init: distribution of the weights; None: the above.
        bias_init: distribution of the bias.
    """
    each = dilation * (size - 1) // 2 if padding is None else padding
    return nnx.Conv(
        before,
        after,
        (size, size),
        strides=stride,
        padding=[(each, each)] * 2,
        kernel_dilation=dilation,
        feature_group_count=groups,
        use_bias=bias,
        kernel_init=kernel_init or nnx.initializers.variance_scaling(2.0 * groups, "fan_out", "normal"),
        bias_init=bias_init,
        rngs=rngs,
    )
