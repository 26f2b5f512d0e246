"""Mean and variance of the noise of a sensor."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.rendering import SensorNoise, noisy


def test_mean_and_variance_are_those_of_the_formula():
    """Of 40,000 values a mean is known to 1 / 200 of the deviation, a variance to 1 / 141; 4 of either are allowed."""
    noise = SensorNoise(shot=0.02, read=0.05)
    for radiance in (0.0, 0.4, 1.0):
        values = np.asarray(noisy(jnp.full(40_000, radiance), noise, key=jax.random.key(0)), np.float64)
        variance = 0.02 * radiance + 0.05**2
        assert abs(values.mean() - radiance) < 0.02 * variance**0.5
        assert abs(values.var() / variance - 1) < 0.03


def test_without_strength_nothing_changes_and_dark_values_are_no_error():
    radiance = jnp.array([-0.5, 0.0, 0.3])
    assert (noisy(radiance, SensorNoise(shot=0.0, read=0.0), key=jax.random.key(0)) == radiance).all()
    assert jnp.isfinite(noisy(radiance, SensorNoise(), key=jax.random.key(0))).all()


@pytest.mark.parametrize("strengths", [{"shot": -0.1}, {"read": float("nan")}, {"read": float("inf")}])
def test_refuses_strengths_that_cannot_be(strengths):
    with pytest.raises(ValueError, match=r"shot and read must be finite and 0 or more, got"):
        SensorNoise(**strengths)
