"""The arithmetic, against loops over pixels in NumPy."""

import functools
import itertools

import jax
import numpy as np
import pytest

from jaxkd.vision.layers.resizing import resize
from jaxkd.vision.tflite import operations
from jaxkd.vision.tflite.windows import Window
from tests.losses.compiled import jitted

WINDOWS = [
    Window(padding="SAME"),
    Window(padding="VALID", strides=(1, 2)),
    Window(padding="SAME", strides=(2, 3)),
    Window(padding="SAME", dilations=(2, 1)),
]


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def positions(window, lengths, size):
    """Rows and columns of the result, and the pixel that each weight of each output reads."""
    results = []
    for length, side, stride, dilation in zip(lengths, size, window.strides, window.dilations, strict=True):
        reach = dilation * (side - 1) + 1
        if window.padding == "SAME":
            count = -(-length // stride)
            before = max((count - 1) * stride + reach - length, 0) // 2
        else:
            count, before = (length - reach) // stride + 1, 0
        results.append(
            [[place * stride + weight * dilation - before for weight in range(side)] for place in range(count)]
        )
    return results


def reads(window, images, size):
    """Each output pixel, with the pixels within the image that its weights read."""
    lengths = images.shape[1:3]
    rows, columns = positions(window, lengths, size)
    for (y, down), (x, right) in itertools.product(enumerate(rows), enumerate(columns)):
        yield (
            y,
            x,
            [
                (r, q, i, j)
                for (r, i), (q, j) in itertools.product(enumerate(down), enumerate(right))
                if 0 <= i < lengths[0] and 0 <= j < lengths[1]
            ],
        )


@functools.cache
def of_every_window(operation):
    """The operation with each of the windows, in one program."""
    return jitted(lambda images, kernel: [operation(images, kernel, window=window) for window in WINDOWS])


def sizes(window, images, size):
    return tuple(len(one) for one in positions(window, images.shape[1:3], size))


def loop_convolution(images, kernel, window):
    rows, columns = sizes(window, images, kernel.shape[:2])
    result = np.zeros((len(images), rows, columns, kernel.shape[3]))
    for y, x, places in reads(window, images, kernel.shape[:2]):
        for r, q, i, j in places:
            result[:, y, x] += images[:, i, j].astype(float) @ kernel[r, q]
    return result


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("channels", [2, 5])
def test_convolution_is_the_loop_for_few_channels_and_for_many(window, channels):
    images, kernel = draw(2, 5, 7, channels), draw(3, 2, channels, 4, seed=1)
    found = of_every_window(operations.convolution)(images, kernel)[WINDOWS.index(window)]
    np.testing.assert_allclose(found, loop_convolution(images, kernel, window), atol=1e-5)


def test_a_convolution_of_one_pixel_is_a_matrix_product():
    images, kernel = draw(2, 3, 4, 5), draw(1, 1, 5, 6, seed=1)
    found = jitted(operations.convolution, window=Window(padding="SAME"))(images, kernel)
    np.testing.assert_allclose(found, images @ kernel[0, 0], atol=1e-5)
    strided = jitted(operations.convolution, window=Window(padding="SAME", strides=(2, 2)))(images, kernel)
    np.testing.assert_allclose(strided, (images @ kernel[0, 0])[:, ::2, ::2], atol=1e-5)


def test_a_convolution_in_groups_reads_its_own_channels():
    images, kernel, window = draw(1, 4, 4, 6), draw(2, 2, 3, 4, seed=1), Window(padding="VALID")
    found = jitted(operations.convolution, window=window)(images, kernel)
    halves = [
        loop_convolution(images[..., 3 * half : 3 * half + 3], kernel[..., 2 * half : 2 * half + 2], window)
        for half in (0, 1)
    ]
    np.testing.assert_allclose(found, np.concatenate(halves, axis=-1), atol=1e-5)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("each", [1, 2])
def test_depthwise_convolution_is_the_loop(window, each):
    images, kernel = draw(2, 5, 6, 3), draw(3, 3, 1, 3 * each, seed=1)
    found = of_every_window(operations.depthwise_convolution)(images, kernel)[WINDOWS.index(window)]
    whole = np.zeros((3, 3, 3, 3 * each), np.float32)
    for channel in range(3 * each):
        whole[:, :, channel // each, channel] = kernel[:, :, 0, channel]
    np.testing.assert_allclose(found, loop_convolution(images, whole, window), atol=1e-5)


@pytest.mark.parametrize(
    ("padding", "size", "strides"), [("SAME", 2, 2), ("SAME", 3, 2), ("VALID", 3, 2), ("VALID", 2, 3)]
)
def test_transposed_convolution_is_the_transpose_of_the_convolution(padding, size, strides):
    """For all results z and images x: <conv(z), x> = <z, transposed(x)>."""
    window = Window(padding=padding, strides=(strides, strides))
    images, kernel = draw(1, 3, 4, 2), draw(size, size, 2, 3, seed=1)
    found = jitted(operations.transposed_convolution, window=window)(images, kernel)
    longer = max(size - strides, 0) if padding == "VALID" else 0
    assert found.shape == (1, 3 * strides + longer, 4 * strides + longer, 3)
    other = draw(*found.shape, seed=2)
    backward = loop_convolution(other, kernel.transpose(0, 1, 3, 2), window)
    assert backward.shape == images.shape
    np.testing.assert_allclose(np.sum(backward * images), np.sum(found * other), rtol=1e-4)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_pools_leave_out_what_is_beyond_the_image(padding):
    images, window = draw(2, 5, 4, 3), Window(padding=padding, strides=(2, 1))
    mean = jitted(operations.average_pool, size=(2, 3), window=window)(images)
    greatest = jitted(operations.max_pool, size=(2, 3), window=window)(images)
    for y, x, places in reads(window, images, (2, 3)):
        pixels = np.stack([images[:, i, j] for _, _, i, j in places])
        np.testing.assert_allclose(mean[:, y, x], pixels.mean(0), atol=1e-6)
        np.testing.assert_array_equal(greatest[:, y, x], pixels.max(0))
    assert mean.shape == greatest.shape == (2, *sizes(window, images, (2, 3)), 3)


def test_fully_connected_takes_rows_of_its_width_or_the_last_axis():
    values, weights = draw(2, 3, 4), draw(4, 5, seed=1)
    kept = jitted(operations.fully_connected, keep_axes=True)(values, weights)
    np.testing.assert_allclose(kept, values @ weights, atol=1e-5)
    flat = jitted(operations.fully_connected, keep_axes=False)(values, weights)
    np.testing.assert_allclose(flat, (values @ weights).reshape(6, 5), atol=1e-5)


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        ("none", [-9, -0.5, 0.5, 9]),
        ("relu", [0, 0, 0.5, 9]),
        ("relu_n1_to_1", [-1, -0.5, 0.5, 1]),
        ("relu6", [0, 0, 0.5, 6]),
    ],
)
def test_activations(activation, expected):
    np.testing.assert_allclose(operations.activate(np.float32([-9, -0.5, 0.5, 9]), activation), expected, rtol=1e-6)


def test_resizing_from_the_first_center():
    def wider(line, gradient):
        found, pull = jax.vjp(lambda images: resize(images, (1, 6), half_pixel_centers=False), line)
        return found, pull(gradient)[0]

    line = np.float32([0, 4, 8]).reshape(1, 1, 3, 1)
    gradient = np.arange(1, 7, dtype=np.float32).reshape(1, 1, 6, 1)
    found, pulled = jitted(wider)(line, gradient)
    np.testing.assert_allclose(found.ravel(), [0, 2, 4, 6, 8, 8])
    # The map is linear: <A x, g> = <x, A' g>.
    np.testing.assert_allclose(np.sum(found * gradient), np.sum(line * pulled), rtol=1e-6)


@pytest.mark.parametrize("steps", [{"strides": (0, 1)}, {"dilations": (1, 0)}])
def test_windows_move(steps):
    with pytest.raises(ValueError, match="strides and dilations must be at least 1, got"):
        Window(padding="SAME", **steps)
