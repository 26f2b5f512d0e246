"""The arithmetic of TFLite's operations on floats, on any number of images.

Source: the reference kernels of tensorflow/tensorflow, lite/kernels/internal/reference, by their formulas; compared
with LiteRT 2.3.0 on whole networks.  Deviation: sums run in another order.
"""

import itertools
import math
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.vision.layers.depthwise import depthwise
from jaxkd.vision.tflite.windows import Window

Activation = Literal["none", "relu", "relu_n1_to_1", "relu6"]
"""Function that an operation applies to its result."""

_FEW = 4
"""Most channels of inputs for which a convolution is computed as a sum of products with shifted images."""

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def activate(values: Float[Array, "..."], activation: Activation) -> Float[Array, "..."]:
    """Return the values after an activation: relu6 is min(max(x, 0), 6), relu_n1_to_1 is min(max(x, -1), 1)."""
    match activation:
        case "none":
            return values
        case "relu":
            return jax.nn.relu(values)
        case "relu_n1_to_1":
            return jnp.clip(values, -1, 1)
        case "relu6":
            return jnp.clip(values, 0, 6)


def convolution(
    images: Float[Array, "b h w c"], kernel: Float[Array, "rows columns i o"], *, window: Window
) -> Float[Array, "b y x o"]:
    """Return the convolution sum_{r, q, i} images[stride y + r - pad, stride x + q - pad, i] kernel[r, q, i, o].

    Windows of one pixel are a matrix product.  For few input channels, the sum is taken over shifted images, which
    on a CPU is faster than XLA's convolution.

    Args:
        images: images or feature maps; of `c / i` times the channels that the kernel reads, in as many groups.
        kernel: weights.
        window: strides, dilations and padding.

    Example:
        >>> import jax.numpy as jnp
        >>> line = jnp.arange(4.0).reshape(1, 1, 4, 1)
        >>> convolution(line, jnp.ones((1, 3, 1, 1)), window=Window(padding="SAME", strides=(1, 2))).ravel().tolist()
        [3.0, 5.0]
    """
    channels, size = images.shape[3], kernel.shape[:2]
    if size == (1, 1) and window.strides == (1, 1) and kernel.shape[2] == channels:
        return jax.lax.dot_general(images, kernel[0, 0], (((3,), (0,)), ((), ())))
    pads = window.pads(images.shape[1:3], size)
    if kernel.shape[2] == channels <= _FEW:
        return _shifted_products(jnp.pad(images, ((0, 0), *pads, (0, 0))), kernel, window)
    return jax.lax.conv_general_dilated(
        images,
        kernel,
        window.strides,
        pads,
        rhs_dilation=window.dilations,
        dimension_numbers=_DIMENSIONS,
        feature_group_count=channels // kernel.shape[2],
    )


def _shifted_products(
    padded: Float[Array, "b h w i"], kernel: Float[Array, "rows columns i o"], window: Window
) -> Float[Array, "b y x o"]:
    height, width = (
        (length - dilation * (side - 1) - 1) // stride + 1
        for length, side, stride, dilation in zip(
            padded.shape[1:3], kernel.shape[:2], window.strides, window.dilations, strict=True
        )
    )
    # XLA fuses nothing across a concatenation.  Fused into what reads it, the sum would be computed again for each
    # weight that reads it.
    middle = (height + 1) // 2
    parts = [(0, middle), (middle, height)] if height > 1 else [(0, height)]
    return jnp.concatenate([_rows_of_products(padded, kernel, window, rows, width) for rows in parts], axis=1)


def _rows_of_products(
    padded: Float[Array, "b h w i"],
    kernel: Float[Array, "rows columns i o"],
    window: Window,
    rows: tuple[int, int],
    width: int,
) -> Float[Array, "b y x o"]:
    """Return the rows of the result from the first one on, up to the second."""
    (down, right), (dilated_rows, dilated_columns) = window.strides, window.dilations
    total = jnp.zeros((1, 1, 1, kernel.shape[3]), padded.dtype)
    for row, column in itertools.product(*map(range, kernel.shape[:2])):
        top, left = rows[0] * down + row * dilated_rows, column * dilated_columns
        bottom = top + (rows[1] - rows[0] - 1) * down + 1
        shifted = padded[:, top:bottom:down, left : left + (width - 1) * right + 1 : right]
        for channel in range(kernel.shape[2]):
            total = total + shifted[..., channel : channel + 1] * kernel[row, column, channel][None, None, None]
    return total


def depthwise_convolution(
    images: Float[Array, "b h w c"], kernel: Float[Array, "rows columns 1 o"], *, window: Window
) -> Float[Array, "b y x o"]:
    """Return the convolution of each channel by `o / c` kernels of its own.

    Args:
        images: images or feature maps.
        kernel: weights; the outputs of a channel are adjacent.
        window: strides, dilations and padding.

    Example:
        >>> import jax.numpy as jnp
        >>> pixel = jnp.array([[[[1.0, 2.0]]]])
        >>> depthwise_convolution(pixel, jnp.ones((1, 1, 1, 4)), window=Window(padding="VALID")).ravel().tolist()
        [1.0, 1.0, 2.0, 2.0]
    """
    each = kernel.shape[3] // images.shape[3]
    return depthwise(
        images if each == 1 else jnp.repeat(images, each, axis=3),
        kernel,
        padding=window.pads(images.shape[1:3], kernel.shape[:2]),
        strides=window.strides,
        dilations=window.dilations,
    )


def transposed_convolution(
    images: Float[Array, "b h w i"], kernel: Float[Array, "rows columns i o"], *, window: Window
) -> Float[Array, "b y x o"]:
    """Return the sum over pixels p and weights k with `y = stride p + k - pad` of images[p] kernel[k].

    Args:
        images: feature maps.
        kernel: weights.
        window: strides, and the padding of the convolution that leads from the result to `images`.  With `SAME` the
            result is larger by the strides, with `VALID` it has all pixels that a weight reaches.

    Example:
        >>> import jax.numpy as jnp
        >>> line, kernel = jnp.array([1.0, 2.0]).reshape(1, 1, 2, 1), jnp.array([1.0, 10.0, 100.0]).reshape(1, 3, 1, 1)
        >>> transposed_convolution(line, kernel, window=Window(padding="SAME", strides=(1, 2))).ravel().tolist()
        [1.0, 10.0, 102.0, 20.0]
    """
    size = kernel.shape[:2]
    lengths = [
        length * stride + (max(side - stride, 0) if window.padding == "VALID" else 0)
        for length, side, stride in zip(images.shape[1:3], size, window.strides, strict=True)
    ]
    before = [first for first, _ in window.pads((lengths[0], lengths[1]), size)]
    pads = [
        (side - 1 - first, result + first - (length - 1) * stride - 1)
        for side, first, result, length, stride in zip(
            size, before, lengths, images.shape[1:3], window.strides, strict=True
        )
    ]
    return jax.lax.conv_general_dilated(
        images,
        kernel[::-1, ::-1],
        (1, 1),
        pads,
        lhs_dilation=window.strides,
        dimension_numbers=_DIMENSIONS,
    )


def fully_connected(
    values: Float[Array, "..."], weights: Float[Array, "i o"], *, keep_axes: bool
) -> Float[Array, "... o"]:
    """Return the product with the weights along the last axis, `values @ weights`.

    Args:
        values: inputs, whose number is a multiple of `i`.
        weights: weights.
        keep_axes: whether the other axes stay; else the result is a matrix, with a row for each `i` inputs.
    """
    rows = values if keep_axes else values.reshape(-1, weights.shape[0])
    return jax.lax.dot_general(rows, weights, (((rows.ndim - 1,), (0,)), ((), ())))


def average_pool(images: Float[Array, "b h w c"], *, size: tuple[int, int], window: Window) -> Float[Array, "b y x c"]:
    """Return the mean of each window, over the pixels in it that are within the image."""
    sums = _reduced(images, 0.0, jax.lax.add, size, window)
    if window.padding == "VALID":
        return sums / math.prod(size)
    return sums / _reduced(jnp.ones_like(images[:1, :, :, :1]), 0.0, jax.lax.add, size, window)


def max_pool(images: Float[Array, "b h w c"], *, size: tuple[int, int], window: Window) -> Float[Array, "b y x c"]:
    """Return the greatest value of each window, of the pixels in it that are within the image."""
    return _reduced(images, -jnp.inf, jax.lax.max, size, window)


def _reduced(
    images: Float[Array, "b h w c"],
    initial: float,
    reduction: Callable[[Any, Any], Array],
    size: tuple[int, int],
    window: Window,
) -> Float[Array, "b y x c"]:
    pads = ((0, 0), *window.pads(images.shape[1:3], size), (0, 0))
    return jax.lax.reduce_window(images, initial, reduction, (1, *size, 1), (1, *window.strides, 1), pads)


def hard_swish(values: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return x min(max(x + 3, 0), 6) / 6.

    Example:
        >>> import jax.numpy as jnp
        >>> hard_swish(jnp.array([-4.0, 0.0, 1.5, 4.0])).tolist()
        [-0.0, 0.0, 1.125, 4.0]
    """
    return values * (jnp.clip(values + 3, 0, 6) / 6)
