import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.vision.fusion import ssim_map
from tests.losses.compiled import compiled
from tests.vision.fusion import numpy_fusion

SHAPE = (2, 9, 6)
OPTIONS = {"window": 5, "sigma": 0.8, "data_range": 2.0}
ROUNDING = {"rtol": 1e-5, "atol": 5e-5}
"""Variances are differences of means below 1, whose rounding of 3e-8 stands beside c2, at least 9e-4."""
similarity = compiled(ssim_map)


def pair(seed):
    """Two images of which the second has some of the first."""
    first, other = np.random.default_rng(seed).random((2, *SHAPE))
    return first.astype(np.float32), (0.6 * first + 0.4 * other).astype(np.float32)


def test_hand_values():
    """Without variance, two greys of 0.2 and 0.6 compare as (2 * 0.12 + c1) / (0.04 + 0.36 + c1)."""
    dark, light = (np.full(SHAPE, grey, np.float32) for grey in (0.2, 0.6))
    np.testing.assert_allclose(similarity(dark, light)[0], 0.2401 / 0.4001, **ROUNDING)
    expected = (2 * 0.12 + 4e-4) / (0.4 + 4e-4)
    np.testing.assert_allclose(compiled(ssim_map, **OPTIONS)(dark, light)[0], expected, **ROUNDING)


@pytest.mark.parametrize("options", [{}, OPTIONS], ids=["", "options"])
def test_equals_float64_numpy(options):
    first, second = pair(0)
    expected, run = numpy_fusion.ssim_map(first, second, **options), compiled(ssim_map, **options)
    np.testing.assert_allclose(run(first, second)[0], expected, **ROUNDING)
    with jax.enable_x64(True):
        found, _ = run(first.astype(np.float64), second.astype(np.float64))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)


def test_equal_images_have_one_and_opposite_ones_less_than_zero():
    first, second = pair(1)
    found, _ = similarity(first, second)
    assert (np.abs(found) < 1).all()
    np.testing.assert_allclose(similarity(second, first)[0], found, rtol=1e-5)
    np.testing.assert_allclose(similarity(first, first)[0], 1, rtol=1e-6)
    assert (similarity(first, 1 - first)[0] < 0).all()


def test_small_images_saturate():
    """Values far below sqrt(c1) = 0.01 and sqrt(c2) = 0.03 all look alike."""
    first, second = pair(2)
    assert (similarity(first, second)[0] < 0.99).all()
    np.testing.assert_allclose(similarity(first * np.float32(1e-4), second * np.float32(1e-4))[0], 1, atol=1e-4)


def test_low_precision_is_computed_in_float32():
    first, second = (one.astype(jnp.bfloat16) for one in pair(3))
    found, _ = similarity(first, second)
    assert found.dtype == np.float32
    expected = numpy_fusion.ssim_map(first.astype(np.float32), second.astype(np.float32))
    np.testing.assert_allclose(found, expected, **ROUNDING)


@pytest.mark.parametrize("scale", np.float32([0, 1e-6, 1, 1e4]))
def test_gradients_are_finite_for_constant_and_large_images(scale):
    first, second = (scale * one for one in pair(4))
    constant = np.full_like(first, scale)
    for sides in ((first, second), (constant, second), (first, constant), (constant, constant)):
        found, gradients = similarity(*sides)
        for values in (found, *gradients):
            assert np.isfinite(values).all()


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_other_shapes_and_options():
    images = jnp.ones((1, 4, 5))
    with pytest.raises(ValueError, match=r"\[images, height, width\] of one shape, got \(1, 4, 5\) and \(1, 4, 4\)"):
        ssim_map(images, images[..., :4])
    with pytest.raises(ValueError, match=r"\[images, height, width\] of one shape, got \(4, 5\).*Compare channels one"):
        ssim_map(images[0], images[0])
    for window in (0, 4):
        with pytest.raises(
            ValueError, match=rf"window must be odd and at least 1, so that it has a centre, got {window}"
        ):
            ssim_map(images, images, window=window)
    for name in ("sigma", "data_range"):
        with pytest.raises(ValueError, match=rf"{name} must be > 0, got 0\.0"):
            ssim_map(images, images, **{name: 0.0})
    message = r"more than window // 2 = 3 pixels a side, which are mirrored at the border, got 3 x 5\. Take larger"
    with pytest.raises(ValueError, match=message):
        ssim_map(images[:, :3], images[:, :3])
