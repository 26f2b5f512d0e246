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
        dtype = jnp.promote_types(images.dtype, jnp.float32)
        rows, columns, _, features = self.kernel.shape
        above, left = (self.dilation * (length // 2) for length in (rows, columns))
        padded = jnp.pad(images, ((0, 0), (above, above), (left, left), (0, 0))).astype(dtype)
        # One split, rather than an index for each weight, has a gradient of one concatenation.
        weights = jax.lax.split(self.kernel[...].astype(dtype).reshape(-1, features), [1] * (rows * columns))
        offsets = itertools.product(range(0, 2 * above + 1, self.dilation), range(0, 2 * left + 1, self.dilation))
        bias = jnp.zeros(features, dtype) if self.bias is None else self.bias[...].astype(dtype)
        total = bias[None, None, None]
        for (down, right), weight in zip(offsets, weights, strict=True):
            shifted = padded[:, down : down + images.shape[1], right : right + images.shape[2]]
            total += shifted * weight[None, None]
        return total.astype(images.dtype)
