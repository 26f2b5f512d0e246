"""Colours of skin and the fields that they vary by."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.rendering import skin_albedo, smooth_field
from jaxkd.rendering.skin import DARKEST, LIGHTEST
from tests.losses.compiled import jitted

POINTS = np.random.default_rng(0).uniform(-0.1, 0.1, (50, 3)).astype(np.float32)


def albedo(seed=0, *, tone=0.1, variation=0.12):
    return jitted(skin_albedo, variation=variation)(POINTS, tone=np.float32(tone), key=jax.random.key(seed))


def test_tones_lie_between_light_and_dark_skin():
    for tone, expected in ((0.0, LIGHTEST), (1.0, DARKEST), (0.5, np.sqrt(np.multiply(LIGHTEST, DARKEST)))):
        found = albedo(tone=tone, variation=0.0)
        np.testing.assert_allclose(found, np.tile(expected, (50, 1)), rtol=1e-5)


def test_colours_vary_with_the_key_and_stay_albedos():
    first, again, other = (albedo(seed) for seed in (0, 0, 1))
    assert (first == again).all()
    assert np.abs(first - other).max() > 0.05
    wild = albedo(variation=5.0)
    assert wild.max() == 1
    assert wild.min() >= 0


def test_the_field_has_variance_1_and_the_correlation_of_its_length():
    """Over 2,000 fields: a mean has a deviation of 1 / sqrt(2000) = 0.022, of which 4 are allowed."""
    points = jnp.array([[0.0, 0, 0], [0.03, 0, 0], [0, 0.06, 0], [0, 0, 0.3]])

    def drawn(key):
        return jax.vmap(lambda key: smooth_field(points, key=key, length=0.03))(jax.random.split(key, 2000))

    fields = np.float64(jitted(drawn)(jax.random.key(0)))
    np.testing.assert_allclose(fields.mean(axis=0), 0, atol=0.09)
    covariance = fields.T @ fields / len(fields)
    np.testing.assert_allclose(np.diag(covariance), 1, atol=0.13)  # a square has a deviation of up to sqrt(2)
    np.testing.assert_allclose(covariance[0], [covariance[0, 0], np.exp(-0.5), np.exp(-2), 0], atol=0.11)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_what_cannot_be():
    key = jax.random.key(0)
    with pytest.raises(ValueError, match=r"variation must be finite and 0 or more, got -1"):
        skin_albedo(POINTS, tone=0.5, key=key, variation=-1)
    with pytest.raises(ValueError, match=r"length must be positive and finite, in the unit of vertices, got 0"):
        smooth_field(POINTS, key=key, length=0)
    with pytest.raises(ValueError, match=r"vertices must be \[v, 3\], got \(50, 2\)"):
        smooth_field(POINTS[:, :2], key=key, length=1.0)
