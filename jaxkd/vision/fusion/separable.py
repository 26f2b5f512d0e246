"""Filters of rank 1, as sums of shifted products."""

from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def separable_filter(
    images: Float[Array, "*b h w"],
    vertical: Sequence[float],
    horizontal: Sequence[float],
    *,
    padding: Literal["edge", "reflect"],
) -> Float[Array, "*b h w"]:
    """Return sum_ij vertical_i horizontal_j x[y + i, x + j], the correlation with a kernel of rank 1.

    Offsets count from the middle of each kernel, and the size is kept.  It is a sum of one shifted product for each
    weight that is not 0: XLA's convolution of single channels is many times slower on a CPU.

    Args:
        images: images of one channel, of float32 or wider.
        vertical: weights over the rows, an odd number.
        horizontal: weights over the columns, an odd number.
        padding: values beyond the border: "edge" repeats the outermost pixel, "reflect" mirrors the image at its
            centre.

    Returns:
        Per pixel, in the dtype of `images`.

    Example:
        >>> import jax.numpy as jnp
        >>> line = jnp.array([[0.0, 1.0, 4.0]])
        >>> separable_filter(line, [1.0], [-1.0, 0.0, 1.0], padding="edge").tolist()
        [[1.0, 4.0, 3.0]]
    """
    for axis, weights in ((images.ndim - 2, vertical), (images.ndim - 1, horizontal)):
        images = _along(images, weights, axis, padding)
    return images


def _along(
    images: Float[Array, "*b h w"], weights: Sequence[float], axis: int, padding: Literal["edge", "reflect"]
) -> Float[Array, "*b h w"]:
    reach, length = len(weights) // 2, images.shape[axis]
    sides = [(reach, reach) if one == axis else (0, 0) for one in range(images.ndim)]
    padded = jnp.pad(images, sides, mode=padding)
    total = jnp.zeros_like(images)
    for start, weight in enumerate(weights):
        if weight != 0:
            total += weight * jax.lax.slice_in_dim(padded, start, start + length, axis=axis)
    return total
