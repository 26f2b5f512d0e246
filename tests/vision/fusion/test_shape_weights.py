import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.vision.fusion import shape_weights
from tests.losses.compiled import compiled
from tests.vision.fusion import numpy_fusion

SHAPE = (2, 7, 9)
NORMS = ("l2", "none", "max")
every_norm = pytest.mark.parametrize("edge_norm", NORMS)


def visible_weight(visible, thermal, **options):
    """Weight of one modality: the sum of the two has no gradient."""
    return shape_weights(visible, thermal, **options)[..., 0]


def pair(seed):
    """Two images of three channels each."""
    return tuple(np.random.default_rng(seed).random((2, *SHAPE, 3)).astype(np.float32))


def weight(visible, thermal, edge_norm):
    return compiled(visible_weight, edge_norm=edge_norm)(visible, thermal)


@every_norm
def test_equals_float64_numpy(edge_norm):
    visible, thermal = pair(0)
    expected = numpy_fusion.shape_weights(visible, thermal, edge_norm=edge_norm)[..., 0]
    # SSIM is within 5e-5, as its own tests say, and a softmax moves by a quarter of what its logits do.
    np.testing.assert_allclose(weight(visible, thermal, edge_norm)[0], expected, atol=3e-5)


def test_float64_is_kept():
    """By the released norm; the slow tests against torch have all of them in float64."""
    visible, thermal = (one.astype(np.float64) for one in pair(0))
    with jax.enable_x64(True):
        found, _ = weight(visible, thermal, "l2")
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, numpy_fusion.shape_weights(visible, thermal)[..., 0], atol=1e-11)


def test_numbers_of_channels_and_the_temperature_are_free():
    visible, thermal = pair(1)
    thermal, options = thermal[..., :1], {"edge_norm": "none", "temperature": 0.1}
    found = jax.jit(lambda *images: shape_weights(*images, **options))(visible, thermal)
    np.testing.assert_allclose(found, numpy_fusion.shape_weights(visible, thermal, **options), atol=3e-4)
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-6)
    assert (found > 0).all()
    assert float(found.max()) > 0.9  # sigmoid(2) at most at temperature 1


@every_norm
def test_weights_swap_with_the_modalities(edge_norm):
    visible, thermal = pair(2)
    found, _ = weight(visible, thermal, edge_norm)
    np.testing.assert_allclose(weight(thermal, visible, edge_norm)[0], 1 - found, rtol=1e-5)
    assert found.std() > 1e-3
    np.testing.assert_array_equal(weight(visible, visible, edge_norm)[0], 0.5)


@every_norm
def test_the_modality_that_shows_an_edge_has_the_greater_weight(edge_norm):
    step = np.zeros((*SHAPE, 3), np.float32)
    step[:, :, 4:] = 1
    found, _ = weight(step, np.full_like(step, 0.3), edge_norm)
    assert (found[:, :, 3:5] > 0.53).all()
    found, _ = weight(np.full_like(step, 0.3), step, edge_norm)
    assert (found[:, :, 3:5] < 0.47).all()


def test_the_released_norm_saturates_with_size():
    """A texture and a faint one: the weights tend to 1/2 as the image grows, faster than 1 / its side."""
    spread = []
    for side in (16, 64):
        visible, thermal = np.random.default_rng(3).random((2, 1, side, side, 1)).astype(np.float32)
        spread.append(jax.jit(visible_weight)(visible, np.float32(0.02) * thermal).std())
    assert spread[1] < spread[0] / 4


@every_norm
def test_gradients_reach_both_and_are_finite_for_constant_images(edge_norm):
    visible, thermal = pair(4)
    for gradient in weight(visible, thermal, edge_norm)[1]:
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 1e-6
    zero, large = np.zeros_like(visible), np.float32(1e4) * visible
    for sides in ((zero, thermal), (visible, zero + 1), (zero, zero), (large, thermal)):
        found, gradients = weight(*sides, edge_norm)
        for values in (found, *gradients):
            assert np.isfinite(values).all()


def test_low_precision_is_computed_in_float32_and_one_image_does_not_touch_another():
    visible, thermal = (one.astype(jnp.bfloat16) for one in pair(5))
    found, _ = weight(visible, thermal, "l2")
    assert found.dtype == np.float32
    expected = numpy_fusion.shape_weights(visible.astype(np.float32), thermal.astype(np.float32))[..., 0]
    np.testing.assert_allclose(found, expected, atol=3e-5)
    visible[0, 3, 3] = np.nan
    broken, _ = weight(visible, thermal, "l2")
    assert np.isnan(broken[0]).all()
    np.testing.assert_array_equal(broken[1], found[1])


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_other_sizes_and_options():
    visible, thermal = map(jnp.asarray, pair(6))
    message = r"of one size, got \(2, 7, 9, 3\) and \(2, 7, 8, 3\)\. Align and resize the images of a pair first"
    with pytest.raises(ValueError, match=message):
        shape_weights(visible, thermal[:, :, :8])
    with pytest.raises(ValueError, match=r"\[images, height, width, channels\] of one size, got \(2, 7, 9\)"):
        shape_weights(visible[..., 0], thermal[..., 0])
    with pytest.raises(ValueError, match=r"edge_norm must be one of l2, none, max, got 'l1'"):
        shape_weights(visible, thermal, edge_norm="l1")  # pyright: ignore[reportArgumentType]
    for temperature in (0.0, np.nan):
        with pytest.raises(ValueError, match=rf"temperature must be > 0, got {temperature}"):
            shape_weights(visible, thermal, temperature=temperature)
