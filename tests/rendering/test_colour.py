"""The curve of sRGB, and grey images."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.rendering import grey, linear_light, pixel_values

VALUES = jnp.arange(256, dtype=jnp.uint8)


def test_every_pixel_value_returns():
    linear = linear_light(VALUES)
    assert linear.dtype == jnp.float32
    assert (jnp.diff(linear) > 0).all()
    assert (pixel_values(linear) == VALUES).all()


def test_the_curve_is_that_of_the_standard():
    # IEC 61966-2-1: 12.92 below 0.0031308, and a power of 2.4 above.
    expected = [0, 10 / 255 / 12.92, ((11 / 255 + 0.055) / 1.055) ** 2.4, ((128 / 255 + 0.055) / 1.055) ** 2.4, 1]
    np.testing.assert_allclose(linear_light(VALUES[jnp.array([0, 10, 11, 128, 255])]), expected, rtol=1e-6)


def test_values_outside_are_cut_and_nan_is_black():
    given = jnp.array([-jnp.inf, -1.0, 1.001, jnp.inf, jnp.nan])
    assert pixel_values(given).tolist() == [0, 0, 255, 255, 0]


def test_grey_keeps_grey_and_weighs_colours():
    assert (grey(jnp.stack([VALUES] * 3, axis=-1))[:, 0] == VALUES).all()
    red, green, blue = grey(255 * jnp.eye(3, dtype=jnp.uint8))[:, 0].tolist()
    assert green > red > blue > 0
    np.testing.assert_allclose(linear_light(jnp.uint8([red, green, blue])), [0.2126, 0.7152, 0.0722], atol=0.004)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_other_images():
    with pytest.raises(TypeError, match=r"image must be uint8, values of sRGB from 0 to 255, got float32"):
        linear_light(jnp.ones((2, 2, 3)))
    with pytest.raises(
        ValueError, match=r"image must have the channels red, green and blue, got the shape \(2, 2, 4\)"
    ):
        grey(jnp.ones((2, 2, 4), jnp.uint8))
