"""Images in one size with their proportions kept, and boxes on what they surround."""

import numpy as np
import pytest

from jaxkd.data.images.detection.letterbox import Letterbox
from jaxkd.data.images.reading import resize_image


@pytest.mark.parametrize(
    ("own", "size", "inner", "offset"),
    [
        ((10, 20), (10, 20), (10, 20), (0, 0)),
        ((100, 200), (96, 128), (64, 128), (16, 0)),
        ((200, 100), (96, 128), (96, 48), (0, 40)),
        ((5, 10), (30, 40), (20, 40), (5, 0)),
        ((1, 1000), (8, 8), (1, 8), (3, 0)),
        ((37, 53), (64, 80), (56, 80), (4, 0)),
    ],
)
def test_the_largest_that_fits_is_in_the_middle(own, size, inner, offset):
    found = Letterbox(own=own, size=size)
    assert (found.inner, found.offset) == (inner, offset)
    pixels = np.full((*own, 4), 9, np.uint8)
    expected = np.zeros((*size, 4), np.uint8)
    expected[offset[0] : offset[0] + inner[0], offset[1] : offset[1] + inner[1]] = 9
    np.testing.assert_array_equal(found.image(pixels), expected)


def test_thermal_is_no_opacity():
    """Each channel is resized as if it were alone, whatever the others hold."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 18, 4)).astype(np.uint8)
    pixels[:6, :, 3] = 0
    found = Letterbox(own=(12, 18), size=(8, 12)).image(pixels)
    np.testing.assert_array_equal(found[..., :3], resize_image(pixels[..., :3].copy(), 8, 12))
    np.testing.assert_array_equal(found[..., 3], resize_image(pixels[..., 3].copy(), 8, 12))
    assert found[:3, :, :3].any()


@pytest.mark.parametrize("own", [(40, 60), (60, 40), (37, 53)])
def test_boxes_stay_on_what_they_surround(own):
    corners = np.array([[8, 12, 24, 28], [0, 0, own[1], own[0]]], np.float64)
    pixels = np.zeros((*own, 3), np.uint8)
    pixels[12:28, 8:24] = 255
    letterbox = Letterbox(own=own, size=(96, 128))
    (box, whole), image = letterbox.corners(corners), letterbox.image(pixels)
    rows, columns = np.nonzero(image[..., 0] >= 128)
    edges = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    np.testing.assert_allclose(box, edges, rtol=0, atol=0.75)  # half a pixel, and the rounding of grey levels
    top, left = letterbox.offset
    height, width = letterbox.inner
    np.testing.assert_allclose(whole, (left, top, left + width, top + height), rtol=1e-6)
    assert box.dtype == np.float32
    assert letterbox.corners(np.zeros((0, 4))).shape == (0, 4)
