"""The curve of sRGB, and grey images."""

import numpy as np
import pytest

from jaxkd.rendering import grey, linear_light, pixel_values
from tests.losses.compiled import jitted

VALUES = np.arange(256, dtype=np.uint8)


def test_every_pixel_value_returns():
    linear = jitted(linear_light)(VALUES)
    assert linear.dtype == np.float32
    assert (np.diff(linear) > 0).all()
    assert (jitted(pixel_values)(linear) == VALUES).all()


def test_the_curve_is_that_of_the_standard():
    # IEC 61966-2-1: 12.92 below 0.0031308, and a power of 2.4 above.
    expected = [0, 10 / 255 / 12.92, ((11 / 255 + 0.055) / 1.055) ** 2.4, ((128 / 255 + 0.055) / 1.055) ** 2.4, 1]
    np.testing.assert_allclose(jitted(linear_light)(VALUES)[[0, 10, 11, 128, 255]], expected, rtol=1e-6)


def test_values_outside_are_cut_and_nan_is_black():
    given = np.float32([-np.inf, -1, 1.001, np.inf, np.nan])
    assert jitted(pixel_values)(np.resize(given, 256))[:5].tolist() == [0, 0, 255, 255, 0]


def test_grey_keeps_grey_and_weighs_colours():
    run = jitted(grey)
    assert (run(np.stack([VALUES] * 3, axis=-1))[:, 0] == VALUES).all()
    red, green, blue = run(np.resize(255 * np.eye(3, dtype=np.uint8), (256, 3)))[:3, 0].tolist()
    assert green > red > blue > 0
    found = jitted(linear_light)(VALUES)[[red, green, blue]]
    np.testing.assert_allclose(found, [0.2126, 0.7152, 0.0722], atol=0.004)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_other_images():
    with pytest.raises(TypeError, match=r"image must be uint8, values of sRGB from 0 to 255, got float32"):
        linear_light(np.ones((2, 2, 3), np.float32))
    with pytest.raises(
        ValueError, match=r"image must have the channels red, green and blue, got the shape \(2, 2, 4\)"
    ):
        grey(np.ones((2, 2, 4), np.uint8))
