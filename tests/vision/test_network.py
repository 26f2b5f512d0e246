"""The description of a network on images, and the ranges of its pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.runtime import configs
from jaxkd.vision.network import NetworkModel
from jaxkd.vision.pixels import FLIR, M3FD, SIGNED, Standardised, normalised
from jaxkd.vision.segmentation.unet import UNet

NETWORK = UNet(widths=(2,))
IMAGES = jnp.asarray(np.random.default_rng(0).integers(10, 256, (2, 3, 4, 3)), jnp.uint8)


def test_initial_arrays_have_the_abstract_shapes():
    made, abstract = NETWORK.init(jax.random.key(0)), NETWORK.abstract()
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), made)
    assert shapes == abstract


def test_a_trained_network_computes_without_dropout_in_the_dtype_of_its_parameters():
    params, state = NETWORK.init(jax.random.key(0))
    model = NetworkModel(network=NETWORK, params=params, state=state)
    assert str(model) == "a UNet"
    expected, _ = NETWORK.apply(params, state, IMAGES)
    np.testing.assert_allclose(jax.jit(lambda model: model(IMAGES).logits)(model), expected.logits, atol=1e-5)
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
    assert NETWORK.apply(half, state, IMAGES)[0].logits.dtype == jnp.bfloat16


def test_training_needs_a_key():
    with pytest.raises(ValueError, match=r"key must be given in training, where units are dropped"):
        NETWORK.apply(*NETWORK.init(jax.random.key(0)), IMAGES, train=True)


@pytest.mark.parametrize(("pixels", "bounds"), [("unit", (0, 1)), ("signed", (-1, 1)), ("min_max", (0, 255))])
def test_pixels_are_mapped_to_their_range(pixels, bounds):
    images = jnp.array([0, 51, 255], jnp.uint8).reshape(1, 1, 3, 1)
    expected = bounds[0] + (bounds[1] - bounds[0]) * np.array([0, 0.2, 1])
    np.testing.assert_allclose(normalised(images, pixels, jnp.float32).ravel(), expected, rtol=1e-6)


def test_each_image_has_its_own_least_and_greatest_value():
    images = jnp.array([[10, 20, 30], [7, 7, 7]], jnp.uint8).reshape(2, 1, 3, 1)
    assert normalised(images, "min_max", jnp.float32).reshape(2, 3).tolist() == [[0, 127.5, 255], [0, 0, 0]]


@pytest.mark.usefixtures("unchecked_shapes")
def test_an_unknown_range_is_refused():
    with pytest.raises(ValueError, match=r"pixels must be Standardised or one of min_max, unit, signed, got 'other'\."):
        normalised(IMAGES, "other", jnp.float32)


@pytest.mark.parametrize("statistics", [M3FD, FLIR])
def test_each_channel_is_standardised_by_its_own_statistics(statistics):
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 4)).astype(np.uint8)
    expected = (images - np.array(statistics.mean)) / np.array(statistics.deviation)
    found = normalised(jnp.asarray(images), statistics, jnp.float32)
    # float32 takes the mean off with an error of 255 x 2^-24, over a deviation of 49.
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    assert normalised(jnp.asarray(images), statistics, jnp.bfloat16).dtype == jnp.bfloat16


def test_one_value_is_that_of_all_channels():
    for images in (IMAGES, IMAGES[..., :1]):
        found = normalised(images, SIGNED, jnp.float32)
        np.testing.assert_allclose(found, normalised(images, "signed", jnp.float32), atol=1e-6)


def test_statistics_of_other_channels_are_refused():
    with pytest.raises(
        ValueError, match=r"pixels must have the statistics of 3 channels, those of the images, got 4\."
    ):
        normalised(IMAGES, M3FD, jnp.float32)


@pytest.mark.parametrize(
    ("mean", "deviation", "message"),
    [
        ((1.0, 2.0), (1.0, 1.0), r"one value each, or one for each of 3 or 4 channels, got 2 and 2 values\."),
        ((1.0, 2.0, 3.0), (1.0,), r"mean and deviation must have one value each, or .* got 3 and 1 values\."),
        ((), (), r"got 0 and 0 values\."),
        ((1.0, 2.0, float("nan")), (1.0, 1.0, 1.0), r"mean must be finite, got \(1\.0, 2\.0, nan\)\."),
        ((0.0,), (0.0,), r"deviation must be positive and finite, got \(0\.0,\)\."),
        ((0.0,), (float("inf"),), r"deviation must be positive and finite, got \(inf,\)\."),
    ],
)
def test_statistics_that_standardise_nothing_are_refused(mean, deviation, message):
    with pytest.raises(ValueError, match=message):
        Standardised(mean=mean, deviation=deviation)


def test_statistics_survive_json(tmp_path):
    for statistics in (M3FD, SIGNED):
        configs.save(tmp_path / "config.json", statistics)
        assert configs.load(tmp_path / "config.json") == statistics
    assert configs.encode(M3FD)["type"] == "jaxkd.vision:Standardised"


def test_images_of_other_channels_are_refused():
    assert NETWORK.channels == (3,)
    with pytest.raises(ValueError, match=r"images must have 3 channels for UNet, got 4\."):
        NETWORK.apply(*NETWORK.abstract(), jnp.zeros((1, 4, 4, 4), jnp.uint8))
