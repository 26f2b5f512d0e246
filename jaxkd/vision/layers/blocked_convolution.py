"""Convolution to few channels, which computes a block of neighbouring outputs as channels of one."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

BLOCK = 4
"""Rows and columns of outputs that are computed together."""


def blocked_convolution(images: Float[Array, "b h w c"], kernel: Float[Array, "k k i o"]) -> Float[Array, "b h w o"]:
    """Return the convolution of stride 1 with zero padding that keeps the size, for few output channels.

    A matrix product with few columns leaves most of a processor's vectors empty.  Here the outputs of a block of 4 x 4
    pixels are channels of one output of a convolution with stride 4, whose kernel has that of each output at its place
    and zeros elsewhere: for size 7 twice the products, in vectors of 16 times as many outputs.

    Args:
        images: images of any size.
        kernel: weights, of an odd size.

    Returns:
        The same as `jax.lax.conv_general_dilated`, up to the order of the sums.

    Raises:
        ValueError: a kernel of an even size, or of other channels than the images'.

    Source: definition.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> blocked_convolution(jnp.ones((1, 2, 3, 1)), jnp.ones((3, 3, 1, 1)))[0, ..., 0].tolist()
        [[4.0, 6.0, 4.0], [4.0, 6.0, 4.0]]
    """
    rows, height, width, channels = images.shape
    size, _, before, after = kernel.shape
    if size % 2 == 0 or before != channels:
        raise ValueError(
            f"kernel must be of an odd size and of {channels} input channels, those of the images, got size {size} and "
            f"{before} channels."
        )
    dtype = jnp.promote_types(images.dtype, kernel.dtype)
    places = [(row, column) for row in range(BLOCK) for column in range(BLOCK)]
    shifted = [
        jnp.pad(kernel.astype(dtype), ((row, BLOCK - 1 - row), (column, BLOCK - 1 - column), (0, 0), (0, 0)))
        for row, column in places
    ]
    down, across = -height % BLOCK, -width % BLOCK
    blocks = jax.lax.conv_general_dilated(
        images.astype(dtype),
        jnp.concatenate(shifted, axis=-1),
        (BLOCK, BLOCK),
        [(size // 2, size // 2 + down), (size // 2, size // 2 + across)],
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    tall, wide = (height + down) // BLOCK, (width + across) // BLOCK
    outputs = blocks.reshape(rows, tall, wide, BLOCK, BLOCK, after).transpose(0, 1, 3, 2, 4, 5)
    return outputs.reshape(rows, height + down, width + across, after)[:, :height, :width]
