"""Initial weights of convolutions and linear maps, and dropout."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxkd.vision.layers import conv, dropout, dropout_masks, linear, pixelwise


@pytest.mark.parametrize(
    ("layer", "deviation"),
    [
        (lambda rngs: conv(8, 64, 3, rngs=rngs), (2 / (9 * 64)) ** 0.5),
        (lambda rngs: conv(64, 64, 5, groups=64, rngs=rngs), (2 / 25) ** 0.5),
        (lambda rngs: pixelwise(64, 32, rngs=rngs), (2 / 32) ** 0.5),
        (lambda rngs: linear(64, 64, rngs=rngs), 0.02),
    ],
    ids=["convolution", "depthwise", "pixelwise", "linear"],
)
def test_weights_have_the_published_deviation_and_biases_are_zero(layer, deviation):
    made = layer(nnx.Rngs(0))
    weights = np.asarray(made.kernel[...])
    assert weights.std() == pytest.approx(deviation, rel=0.1)
    assert abs(weights.mean()) < 4 * deviation / weights.size**0.5
    assert not np.any(made.bias[...])


@pytest.mark.parametrize(("options", "size"), [({}, 5), ({"dilation": 2}, 5), ({"stride": 2}, 3), ({"padding": 0}, 3)])
def test_a_convolution_keeps_the_size_unless_told_otherwise(options, size):
    assert conv(2, 3, 3, rngs=nnx.Rngs(0), **options)(jnp.ones((1, 5, 5, 2))).shape == (1, size, size, 3)


def test_a_share_of_the_values_is_dropped_and_the_others_are_scaled():
    first, second = dropout_masks([(4, 1000), (4, 10, 50)], 0.25, nnx.Rngs(dropout=0))
    assert (first.shape, second.shape) == ((4, 1000), (4, 10, 50))
    assert float(jnp.mean(first)) == pytest.approx(0.75, abs=0.03)
    assert not np.array_equal(first[:, :500], second.reshape(4, 500))
    np.testing.assert_allclose(dropout(jnp.full(first.shape, 3.0), first, 0.25), jnp.where(first, 4.0, 0.0))


def test_nothing_is_dropped_without_keys_or_at_a_rate_of_zero():
    assert dropout_masks([(2, 3)], 0.1, None) is None
    assert dropout_masks([(2, 3)], 0.0, nnx.Rngs(dropout=0)) is None
    values = jnp.ones((2, 3))
    assert dropout(values, None, 0.1) is values


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_a_rate_outside_its_range_is_refused(rate):
    with pytest.raises(ValueError, match=r"rate of the dropout must be at least 0 and below 1, got"):
        dropout_masks([(2, 3)], rate, None)
