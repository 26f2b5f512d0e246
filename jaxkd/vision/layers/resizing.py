"""Resizing of images and feature maps."""

import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Kept = Literal["corners", "corner_centers", "first_center"]
"""Points that stay in place: the corners of an image, the centres of its corner pixels, or that of its first pixel."""


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _bilinear(images: Float[Array, "b h w c"], size: tuple[int, int], kept: Kept) -> Float[Array, "b rows columns c"]:
    for axis, length in zip((1, 2), size, strict=True):
        images = _resized(images, axis, length, kept)
    return images


def _forward(
    images: Float[Array, "b h w c"], size: tuple[int, int], kept: Kept
) -> tuple[Float[Array, "b rows columns c"], tuple[Array, Array]]:
    """Return the result, and arrays without elements whose shapes remember the sides of the images."""
    rows, columns = images.shape[1:3]
    return _bilinear(images, size, kept), (jnp.zeros((rows, 0)), jnp.zeros((columns, 0)))


def _backward(
    size: tuple[int, int],
    kept: Kept,
    sides: tuple[Array, Array],
    gradient: Float[Array, "b rows columns c"],
) -> tuple[Float[Array, "b h w c"]]:
    for axis in (2, 1):
        gradient = _adjoint(gradient, axis, sides[axis - 1].shape[0], size[axis - 1], kept)
    return (gradient,)


_bilinear.defvjp(_forward, _backward)


def resize(
    images: Float[Array, "b h w c"],
    size: tuple[int, int],
    *,
    align_corners: bool = False,
    half_pixel_centers: bool = True,
) -> Float[Array, "b rows columns c"]:
    """Resize by bilinear interpolation, without antialiasing; gradients are taken in reverse mode only.

    The gradient collects for each pixel what the results around it send back.  JAX's own gradient of a gather is a
    scatter, which takes much longer on a processor.

    Args:
        images: images or feature maps.
        size: rows and columns of the result.
        align_corners: whether the centres of the corner pixels stay in place; else the corners of the images do, and
            values beyond the outermost centres are those there.
        half_pixel_centers: whether, without `align_corners`, a pixel's centre is half a pixel from its edge; else the
            first pixel's centre stays in place, and pixel i of the result is that at i times the ratio of the sizes.

    Example:
        >>> import jax.numpy as jnp
        >>> line = jnp.array([0.0, 4.0]).reshape(1, 1, 2, 1)
        >>> resize(line, (1, 4)).ravel().tolist(), resize(line, (1, 5), align_corners=True).ravel().tolist()
        ([0.0, 1.0, 3.0, 4.0], [0.0, 1.0, 2.0, 3.0, 4.0])
    """
    kept: Kept = "corner_centers" if align_corners else "corners" if half_pixel_centers else "first_center"
    return images if images.shape[1:3] == size else _bilinear(images, size, kept)


def repeat_pixels(images: Float[Array, "b h w c"], factor: int) -> Float[Array, "b rows columns c"]:
    """Repeat each pixel `factor` times along both axes: the nearest neighbour of an enlarged image."""
    b, h, w, c = images.shape
    wide = jnp.broadcast_to(images[:, :, None, :, None, :], (b, h, factor, w, factor, c))
    return wide.reshape(b, h * factor, w * factor, c)


def _resized(images: Float[Array, "b h w c"], axis: int, length: int, kept: Kept) -> Float[Array, "b rows columns c"]:
    before = images.shape[axis]
    if before == length:
        return images
    below, weight = _places(before, length, kept)
    above = np.minimum(below + 1, before - 1)
    low, high = (jnp.take(images, jnp.asarray(index), axis=axis) for index in (below, above))
    return low + (high - low) * _along(axis, weight, images.dtype)


def _adjoint(
    gradient: Float[Array, "b rows columns c"], axis: int, before: int, after: int, kept: Kept
) -> Float[Array, "b h w c"]:
    """Apply the transpose of `_resized` along one axis: a weighted sum over the results that read a pixel."""
    if before == after:
        return gradient
    indices, weights = _readers(before, after, kept)
    return sum(
        (
            jnp.take(gradient, jnp.asarray(index), axis=axis) * _along(axis, weight, gradient.dtype)
            for index, weight in zip(indices, weights, strict=True)
        ),
        start=jnp.zeros((), gradient.dtype),
    )


@functools.lru_cache(maxsize=256)
def _readers(before: int, after: int, kept: Kept) -> tuple[np.ndarray, np.ndarray]:
    """Return the results that read each pixel and their weights, [most, before], filled up with weights of 0."""
    below, weight = _places(before, after, kept)
    matrix = np.zeros((before, after))
    np.add.at(matrix, (below, np.arange(after)), 1 - weight)
    np.add.at(matrix, (np.minimum(below + 1, before - 1), np.arange(after)), weight)
    most = int(np.count_nonzero(matrix, axis=1).max())
    order = np.argsort(matrix == 0, axis=1, kind="stable")[:, :most]
    return order.T, np.take_along_axis(matrix, order, axis=1).T


def _along(axis: int, weight: np.ndarray, dtype: jnp.dtype) -> Float[Array, "..."]:
    return jnp.asarray(np.expand_dims(weight, [one for one in range(4) if one != axis]), dtype)


def _places(before: int, after: int, kept: Kept) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower of the two pixels that each result lies between, and the weight of the upper one."""
    if kept == "corner_centers":
        places = np.arange(after) * ((before - 1) / max(after - 1, 1))
    elif kept == "first_center":
        places = np.arange(after) * (before / after)
    else:
        places = np.maximum((np.arange(after) + 0.5) * (before / after) - 0.5, 0.0)
    below = np.minimum(np.floor(places).astype(int), before - 1)
    return below, np.minimum(places - below, 1.0)
