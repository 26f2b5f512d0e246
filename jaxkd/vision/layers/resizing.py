"""Resizing of images and feature maps."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def resize(
    images: Float[Array, "b h w c"], size: tuple[int, int], *, align_corners: bool = False
) -> Float[Array, "b rows columns c"]:
    """Resize by bilinear interpolation, without antialiasing.

    Args:
        images: images or feature maps.
        size: rows and columns of the result.
        align_corners: whether the centres of the corner pixels stay in place; else the corners of the images do, and
            values beyond the outermost centres are those there.

    Example:
        >>> import jax.numpy as jnp
        >>> line = jnp.array([0.0, 4.0]).reshape(1, 1, 2, 1)
        >>> resize(line, (1, 4)).ravel().tolist(), resize(line, (1, 5), align_corners=True).ravel().tolist()
        ([0.0, 1.0, 3.0, 4.0], [0.0, 1.0, 2.0, 3.0, 4.0])
    """
    for axis, length in zip((1, 2), size, strict=True):
        images = _resized(images, axis, length, align_corners)
    return images


def repeat_pixels(images: Float[Array, "b h w c"], factor: int) -> Float[Array, "b rows columns c"]:
    """Repeat each pixel `factor` times along both axes: the nearest neighbour of an enlarged image."""
    return jnp.repeat(jnp.repeat(images, factor, axis=1), factor, axis=2)


def _resized(images: Float[Array, "b h w c"], axis: int, length: int, align_corners: bool) -> Float[Array, "b h w c"]:
    before = images.shape[axis]
    if before == length:
        return images
    below, weight = _places(before, length, align_corners)
    above = np.minimum(below + 1, before - 1)
    weights = jnp.asarray(np.expand_dims(weight, [one for one in range(4) if one != axis]), images.dtype)
    low, high = (jnp.take(images, jnp.asarray(index), axis=axis) for index in (below, above))
    return low + (high - low) * weights


def _places(before: int, after: int, align_corners: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower of the two pixels that each result lies between, and the weight of the upper one."""
    if align_corners:
        places = np.arange(after) * ((before - 1) / max(after - 1, 1))
    else:
        places = np.maximum((np.arange(after) + 0.5) * (before / after) - 0.5, 0.0)
    below = np.minimum(np.floor(places).astype(int), before - 1)
    return below, np.minimum(places - below, 1.0)
