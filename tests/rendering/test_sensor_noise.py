"""Mean and variance of the noise of a sensor."""

import jax
import numpy as np
import pytest

from jaxkd.rendering import SensorNoise, noisy
from tests.losses.compiled import jitted


def test_mean_and_variance_are_those_of_the_formula():
    """Bounds are 4 standard errors of 40,000 values: 1 / 200 of the deviation, and 1 / 141 of a variance."""
    run = jitted(noisy, noise=SensorNoise(shot=0.02, read=0.05))
    for radiance in (0.0, 0.4, 1.0):
        values = np.float64(run(np.full(40_000, radiance, np.float32), key=jax.random.key(0)))
        variance = 0.02 * radiance + 0.05**2
        assert abs(values.mean() - radiance) < 0.02 * variance**0.5
        assert abs(values.var() / variance - 1) < 0.03


def test_without_strength_nothing_changes_and_dark_values_are_no_error():
    radiance, key = np.float32([-0.5, 0, 0.3]), jax.random.key(0)
    assert (jitted(noisy, noise=SensorNoise(shot=0.0, read=0.0))(radiance, key=key) == radiance).all()
    assert np.isfinite(jitted(noisy, noise=SensorNoise())(radiance, key=key)).all()


@pytest.mark.parametrize("strengths", [{"shot": -0.1}, {"read": float("nan")}, {"read": float("inf")}])
def test_refuses_strengths_that_cannot_be(strengths):
    with pytest.raises(ValueError, match=r"shot and read must be finite and 0 or more, got"):
        SensorNoise(**strengths)
