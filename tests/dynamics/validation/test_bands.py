"""Bands of forecasts: how often they hold what is true, and what they do with equations that diverge."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from jaxkd.dynamics import Equations, fourier_fit
from jaxkd.dynamics.validation.bands import forecast_band

TIMES = np.linspace(0.0, 2.0, 33)

curved = jax.jit(fourier_fit)


def band(rate, states, *, key, tail=0.05, deviation=1.0):
    """Forecast band of x' = rate x."""
    x = sympy.Symbol("x")
    equations = Equations.of((sympy.Float(1.0) * x,), (x,))
    curve = curved(states[:, None], TIMES)
    said = {"terms": equations.terms, "variables": equations.variables, "deviation": jnp.array([deviation])}
    return forecast_band(jnp.asarray(rate)[:, None, None], curve, jnp.asarray(TIMES), key=key, tail=tail, **said)


@pytest.mark.slow
def test_the_truth_lies_within_as_often_as_it_should():
    """Bands of a decay whose rate is known to .05, from noisy records."""
    random, held = np.random.default_rng(0), []
    for number in range(60):
        clean = np.exp(-TIMES)
        rates = -1 + 0.05 * random.standard_normal() + 0.05 * random.standard_normal(200)
        low, high = band(rates, clean + 0.05 * random.standard_normal(33), key=jax.random.key(number))
        assert np.all(low < high)
        held.append((low[:, 0] <= clean) & (clean <= high[:, 0]))
    assert 0.8 < np.mean(held) < 0.97
    assert 0.75 < np.mean([one[0] for one in held]) <= 1.0


def test_without_noise_and_doubt_there_is_a_line():
    low, high = band(np.full(10, -1.0), np.exp(-TIMES), key=jax.random.key(0))
    np.testing.assert_allclose(low[:, 0], np.exp(-TIMES), atol=1e-4)
    np.testing.assert_allclose(high, low, atol=1e-4)


def test_where_too_many_diverge_there_is_no_end():
    rates = np.concatenate([np.full(8, -1.0), np.full(2, 800.0)])
    low, high = band(rates, np.exp(-TIMES), key=jax.random.key(0))
    assert np.isfinite(low[0, 0])
    assert np.isfinite(high[0, 0])
    assert np.isnan(low[-1, 0])
    assert np.isnan(high[-1, 0])
