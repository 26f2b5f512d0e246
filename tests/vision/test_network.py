"""The description of a network on images, and the ranges of its pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.vision.network import NetworkModel
from jaxkd.vision.pixels import normalised
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
    with pytest.raises(ValueError, match=r"pixels must be one of min_max, unit, signed, got 'other'\."):
        normalised(IMAGES, "other", jnp.float32)
