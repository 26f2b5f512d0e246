"""Convolutions, initialised as the published segmentation networks are."""

from flax import nnx


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
) -> nnx.Conv:
    """Return a 2-D convolution on [b, h, w, c] with zero padding.

    Weights are drawn from Normal(0, 2 / (size^2 after / groups)), the bias is 0.

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
        kernel_init=nnx.initializers.variance_scaling(2.0 * groups, "fan_out", "normal"),
        rngs=rngs,
    )
