"""Estimators of slopes, which all take the same and give the same."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from jaxkd.dynamics import CentralDifferences, FourierSlopes, SplineSlopes, fourier_fit
from jaxkd.dynamics.derivatives.trajectories import trajectories

ESTIMATORS = (FourierSlopes(), CentralDifferences(), SplineSlopes())
NAMES = sympy.symbols("x y")


def given(states, times, lengths=None):
    return trajectories(jnp.asarray(states), jnp.asarray(times), None, lengths, names=NAMES, input_names=())


def waves(times, noise=0.0):
    clean = np.stack([np.sin(times), np.cos(2 * times)], axis=-1)
    return clean + noise * np.random.default_rng(0).normal(size=clean.shape)


TIMES = np.stack([np.linspace(0, 4, 41), np.sort(np.random.default_rng(1).uniform(0, 4, 41))])


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda one: type(one).__name__)
def test_slopes_of_clean_waves(estimator):
    states, slopes = estimator(given(waves(TIMES), TIMES))
    expected = np.stack([np.cos(TIMES), -2 * np.sin(2 * TIMES)], axis=-1)
    np.testing.assert_allclose(states, waves(TIMES), atol=2e-3)
    # A spline is bent straight at its ends.
    inner = slice(2, -2)
    assert np.sqrt(np.mean((np.asarray(slopes) - expected)[:, inner] ** 2)) < 0.05


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda one: type(one).__name__)
def test_slopes_follow_the_units(estimator):
    """A channel's unit and that of time, and a shift of either, change nothing but the unit of the answer."""
    states, slopes = estimator(given(waves(TIMES, 0.02), TIMES))
    scaled, per_hour = estimator(given(5 + 1e3 * waves(TIMES, 0.02), 7 + TIMES / 60))
    # SciPy looks for the stiffness of a spline to a tolerance.
    tolerance = 1e-3 if isinstance(estimator, SplineSlopes) else 1e-6
    for ours, theirs in ((scaled, 5 + 1e3 * np.asarray(states)), (per_hour, 6e4 * np.asarray(slopes))):
        np.testing.assert_allclose(ours, theirs, atol=tolerance * np.max(np.abs(theirs)))


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda one: type(one).__name__)
def test_what_comes_after_a_record_is_not_read(estimator):
    noisy = waves(TIMES, 0.02)
    whole = estimator(given(noisy[:1, :30], TIMES[:1, :30]))
    padded = estimator(given(noisy, TIMES, [30, 41]))
    for alone, beside in zip(whole, padded, strict=True):
        np.testing.assert_allclose(beside[0, :30], alone[0], rtol=1e-7, atol=1e-9)


def test_differences_are_exact_for_parabolas_at_any_times():
    curve = np.stack([TIMES**2 - TIMES, 3 - TIMES], axis=-1)
    states, slopes = CentralDifferences()(given(curve, TIMES))
    np.testing.assert_array_equal(states, curve)
    np.testing.assert_allclose(slopes, np.stack([2 * TIMES - 1, -np.ones_like(TIMES)], axis=-1), atol=1e-9)


def test_fourier_slopes_are_those_of_the_fit():
    data = given(waves(TIMES, 0.05), TIMES)
    states, slopes = FourierSlopes()(data)
    curve = fourier_fit(data.states[1], data.times[1])
    np.testing.assert_allclose(states[1], curve.at(data.times[1]), atol=1e-10)
    np.testing.assert_allclose(slopes[1], curve.at(data.times[1], derivative=1), atol=1e-8)


def test_they_are_configs():
    assert len({dataclasses.replace(one) for one in ESTIMATORS}) == 3
