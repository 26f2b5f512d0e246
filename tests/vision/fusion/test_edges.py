import jax
import jax.numpy as jnp
import numpy as np

from jaxkd.vision.fusion import sobel_magnitude
from tests.losses.compiled import compiled
from tests.vision.fusion import numpy_fusion

SHAPE = (2, 5, 7, 3)
edges = compiled(sobel_magnitude)


def images(seed, dtype=np.float32):
    return np.random.default_rng(seed).normal(size=SHAPE).astype(dtype)


def test_hand_values():
    """A ramp of 3 a row and 4 a column has the slope 5, half of each at borders that cross it."""
    rows, columns = np.mgrid[:5, :7].astype(np.float32)
    ramps = np.broadcast_to((3 * rows + 4 * columns)[..., None], SHAPE)
    found = edges(ramps)[0][1]
    np.testing.assert_allclose(found[1:-1, 1:-1], 5, rtol=1e-6)
    np.testing.assert_allclose(found[0, 1:-1], np.hypot(1.5, 4), rtol=1e-6)
    np.testing.assert_allclose(found[0, 0], 2.5, rtol=1e-6)


def test_equals_float64_numpy():
    values = images(0)
    expected = numpy_fusion.sobel_magnitude(values)
    np.testing.assert_allclose(edges(values)[0], expected, rtol=1e-5)
    with jax.enable_x64(True):
        found, _ = edges(values.astype(np.float64))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_low_precision_is_computed_in_float32():
    values = images(1).astype(jnp.bfloat16)
    found, _ = edges(values)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, numpy_fusion.sobel_magnitude(values.astype(np.float32)), rtol=1e-5)


def test_a_constant_image_has_no_gradient_and_large_values_a_finite_one():
    found, (gradient,) = edges(np.full(SHAPE, 3, np.float32))
    np.testing.assert_allclose(found, 1e-3, rtol=1e-6)
    np.testing.assert_array_equal(gradient, 0)
    _, (gradient,) = edges(images(2) * np.float32(1e4))
    assert np.isfinite(gradient).all()
    assert (gradient != 0).any()
