"""Pooling over square windows."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def average_pool(images: Float[Array, "b h w c"], size: int) -> Float[Array, "b rows columns c"]:
    """Return the mean over each window of `size` x `size` pixels; a window at the end averages the pixels it has.

    Example:
        >>> import jax.numpy as jnp
        >>> average_pool(jnp.arange(3.0).reshape(1, 1, 3, 1), 2).ravel().tolist()
        [0.5, 2.0]
    """
    sums = jax.lax.reduce_window(images, 0.0, jax.lax.add, *_windows(images, size))
    return sums / jnp.asarray(_counts(images.shape[1], size)[:, None, None] * _counts(images.shape[2], size)[:, None])[
        None
    ].astype(images.dtype)


def max_pool(images: Float[Array, "b h w c"], size: int) -> Float[Array, "b rows columns c"]:
    """Return the maximum over each window of `size` x `size` pixels; a window at the end has fewer."""
    return jax.lax.reduce_window(images, -jnp.inf, jax.lax.max, *_windows(images, size))


def overlapping_max_pool(images: Float[Array, "b h w c"]) -> Float[Array, "b rows columns c"]:
    """Return the maximum over the 3 x 3 pixels around every second pixel, beginning with the first.

    Windows at the borders have fewer pixels, so that any sides are taken and halved upwards.

    Source: He et al. (arXiv 1512.03385), table 1; torch's `max_pool2d` of size 3, stride 2 and padding 1.  Deviation:
    none.

    Example:
        >>> import jax.numpy as jnp
        >>> overlapping_max_pool(-jnp.arange(1.0, 6.0).reshape(1, 1, 5, 1)).ravel().tolist()
        [-1.0, -2.0, -4.0]
    """
    padding = [(0, 0), (1, 1), (1, 1), (0, 0)]
    return jax.lax.reduce_window(images, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), padding)


def _windows(images: Float[Array, "b h w c"], size: int) -> tuple[tuple[int, ...], tuple[int, ...], list]:
    window = (1, size, size, 1)
    padding = [(0, 0), *[(0, -length % size) for length in images.shape[1:3]], (0, 0)]
    return window, window, padding


def _counts(length: int, size: int) -> np.ndarray:
    """Return the number of pixels of each window along one axis."""
    return np.minimum(size, length - np.arange(0, length, size)).astype(np.float32)
