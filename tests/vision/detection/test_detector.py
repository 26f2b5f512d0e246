"""Base of the detectors: values and sizes that it refuses, and the classification of other features."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.runtime import configs
from jaxkd.vision.pixels import FLIR, M3FD, Standardised
from tests.vision.detection.tiny import IMAGES, early, forward, medium
from tests.vision.segmentation.modules import drawn_params


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"depth": 20}, r"depth must be one of 10, 18, 34, 50, 101, got 20\."),
        ({"norm": "layer"}, r"norm must be one of group, batch, running, got 'layer'\."),
        ({"classes": 0}, r"classes must be at least 1, got 0\."),
        ({"levels": 2}, r"levels must be at least 3, got 2\."),
        ({"stacked": 0}, r"stacked must be at least 1, got 0\."),
        ({"bins": 1}, r"bins must be at least 2, got 1\."),
        ({"groups": 3}, r"pyramid_width must be a multiple of groups, and at least twice as large, .* got 4 and 3\."),
        ({"groups": 4}, r"pyramid_width must be a multiple of groups, .* normalised to 0, got 4 and 4\. Take fewer"),
        ({"stem": "late"}, r"stem must be one of plain, shape, visible, thermal, got 'late'\."),
        ({"edge_norm": "l1"}, r"edge_norm must be one of l2, none, max, got 'l1'\."),
        ({"temperature": 0.0}, r"temperature must be positive and finite, got 0\.0\."),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_values_outside_their_range_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        early(**fields)


def test_a_level_without_a_cell_within_the_image_is_refused():
    early().require_size(32, 33)
    assert early(levels=5).strides == (8, 16, 32, 64, 128)
    with pytest.raises(
        ValueError, match=r"sides of at least 32 pixels, .* each of the 3 levels .* got 31 x 64\. Take l"
    ):
        early().require_size(31, 64)
    with pytest.raises(ValueError, match=r"at least 128 pixels, .* got 64 x 90\. Take levels=4, or larger images\."):
        early(levels=5).require_size(64, 90)
    params, state = early().abstract()
    with pytest.raises(ValueError, match=r"at least 32 pixels"):
        early().apply(params, state, jnp.zeros((1, 16, 32, 4), jnp.uint8))


@pytest.mark.parametrize(
    ("stem", "channels", "message"),
    [
        ("plain", 3, r"images must have 4 channels for stem='plain', got 3\. Take stem=\"visible\" for images of red"),
        ("thermal", 3, r"images must have 4 channels for stem='thermal', got 3\. Take"),
        ("visible", 5, r"images must have 3 or 4 channels for stem='visible', got 5\.$"),
    ],
)
def test_images_of_other_channels_are_refused(stem, channels, message):
    network = early(stem=stem)
    with pytest.raises(ValueError, match=message):
        network.apply(*network.abstract(), jnp.zeros((1, 32, 32, channels), jnp.uint8))
    assert medium().channels == (4,)
    with pytest.raises(ValueError, match=r"images must have 4 channels for MediumFusion, got 3\."):
        medium().require_channels(3)


def test_descriptions_survive_json(tmp_path):
    for network in (early(pixels=M3FD), medium(pixels=FLIR), early(pixels="unit"), early()):
        configs.save(tmp_path / "config.json", network)
        assert configs.load(tmp_path / "config.json") == network
        assert hash(configs.load(tmp_path / "config.json")) == hash(network)
    (line,) = configs.differences(early(pixels=Standardised(mean=(1.0,), deviation=(2.0,))), early())[:1]
    assert line == "pixels.mean.0: 1.0 -> 127.5"


def test_the_last_convolution_classifies_the_networks_own_features_as_it_does():
    network = early()
    params = drawn_params(network)
    maps = forward(network)(params, IMAGES)
    for tower, logits in zip(maps.tower, maps.class_logits, strict=True):
        np.testing.assert_allclose(network.classify(params, tower), logits, rtol=1e-4, atol=1e-4)
    classifier = network.classifier_params(params)
    assert classifier is params["head"]["classifier"]
    assert {name: leaf.shape for name, leaf in classifier.items()} == {"kernel": (3, 3, 4, 2), "bias": (2,)}


def test_gradients_of_a_classification_reach_the_features_and_the_classifier_alone():
    network = early()
    params = drawn_params(network)
    tower = jnp.asarray(np.random.default_rng(1).normal(size=(1, 3, 4, 4)), jnp.float32)
    gradient = jax.grad(lambda params, tower: jnp.sum(network.classify(params, tower) ** 2), (0, 1))
    by_params, by_tower = jax.device_get(jax.jit(gradient)(params, tower))
    assert (by_tower != 0).all()
    assert all((leaf != 0).all() for leaf in by_params["head"].pop("classifier").values())
    assert not any(leaf.any() for leaf in jax.tree.leaves(by_params))


def test_features_of_another_width_are_not_classified():
    network = early()
    with pytest.raises(ValueError, match=r"tower must have 4 channels, the pyramid_width of the network that .* got 6"):
        network.classify(network.abstract()[0], jnp.zeros((1, 1, 1, 6)))
