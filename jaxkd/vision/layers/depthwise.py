"""Depthwise convolution."""

import itertools

import jax
import jax.numpy as jnp
from flax import nnx
from jax.nn.initializers import Initializer
from jaxtyping import Array, Float

OVER_GROUPS = nnx.initializers.variance_scaling(2.0, "fan_out", "normal", in_axis=-1, out_axis=-2)
"""Normal(0, 2 / number of weights of one channel): what `conv` draws for as many groups as channels."""


class Depthwise(nnx.Module):
    """Convolve each channel by a kernel of its own, with zero padding that keeps the size.

    The kernel has the shape [rows, columns, 1, c] of a grouped convolution and the result is equal to rounding, but it
    is computed as a sum of shifted products, in float32: one for each weight of a channel.  On a CPU, XLA's grouped
    convolution is many times slower.  All platforms compute this form.
    """

    def __init__(
        self,
        features: int,
        size: int | tuple[int, int],
        *,
        dilation: int = 1,
        bias: bool = True,
        kernel_init: Initializer = OVER_GROUPS,
        bias_init: Initializer = nnx.initializers.zeros,
        rngs: nnx.Rngs,
    ):
        """Draw the weights.

        Args:
            features: channels.
            size: side of the kernel, or its rows and columns, all odd.
            dilation: distance between the pixels that neighbouring weights read.
            bias: whether a bias is added.
            kernel_init: distribution of the kernel.
            bias_init: distribution of the bias.
            rngs: source of the weights.

        Raises:
            ValueError: an even size, which has no central weight.
        """
        rows, columns = (size, size) if isinstance(size, int) else size
        if rows % 2 == 0 or columns % 2 == 0:
            raise ValueError(f"size must be odd, so that the kernel has a central weight, got {size}.")
        self.dilation = dilation
        self.kernel = nnx.Param(kernel_init(rngs.params(), (rows, columns, 1, features)))
        self.bias = nnx.Param(bias_init(rngs.params(), (features,))) if bias else None

    def __call__(self, images: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Return the convolution, in the dtype of `images`."""
        rows, columns = self.kernel.shape[:2]
        above, left = (self.dilation * (length // 2) for length in (rows, columns))
        return depthwise(
            images,
            self.kernel[...],
            None if self.bias is None else self.bias[...],
            padding=((above, above), (left, left)),
            dilations=(self.dilation, self.dilation),
        )


def depthwise(
    images: Float[Array, "b h w c"],
    kernel: Float[Array, "rows columns 1 c"],
    bias: Float[Array, " c"] | None = None,
    *,
    padding: tuple[tuple[int, int], tuple[int, int]],
    strides: tuple[int, int] = (1, 1),
    dilations: tuple[int, int] = (1, 1),
) -> Float[Array, "b y x c"]:
    """Return the convolution of each channel by its kernel, as a sum of shifted products, in the dtype of `images`.

    Args:
        images: images or feature maps.
        kernel: kernel, of the shape of a grouped convolution's.
        bias: what is added to each channel, nothing by default.
        padding: zeros above and below, left and right.
        strides: distance between two outputs.
        dilations: distance between the pixels that neighbouring weights read.

    Example:
        >>> import jax.numpy as jnp
        >>> line, kernel = jnp.arange(5.0).reshape(1, 1, 5, 1), jnp.ones((1, 3, 1, 1))
        >>> depthwise(line, kernel, padding=((0, 0), (1, 1)), strides=(1, 2)).ravel().tolist()
        [1.0, 6.0, 7.0]
    """
    dtype = jnp.promote_types(images.dtype, jnp.float32)
    rows, columns, _, features = kernel.shape
    padded = jnp.pad(images, ((0, 0), *padding, (0, 0))).astype(dtype)
    (down, right), (dilated_rows, dilated_columns) = strides, dilations
    height = (padded.shape[1] - dilated_rows * (rows - 1) - 1) // down * down + 1
    width = (padded.shape[2] - dilated_columns * (columns - 1) - 1) // right * right + 1
    # One split, rather than an index for each weight, has a gradient of one concatenation.
    weights = jax.lax.split(kernel.astype(dtype).reshape(-1, features), [1] * (rows * columns))
    total = (jnp.zeros(features, dtype) if bias is None else bias.astype(dtype))[None, None, None]
    for (row, column), weight in zip(itertools.product(range(rows), range(columns)), weights, strict=True):
        top, left = row * dilated_rows, column * dilated_columns
        shifted = padded[:, top : top + height : down, left : left + width : right]
        total += shifted * weight[None, None]
    return total.astype(images.dtype)
