"""Systems that a function of time drives."""

import functools
import itertools

import jax
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicHermiteSpline

from jaxkd.dynamics.systems import driven
from tests.dynamics.records import right_hand_side, times

KEY = jax.random.key(0)


def test_a_drive_is_smooth_and_bounded():
    drive = driven.RandomDrive(lengthscale=2.0, bound=3.0)
    values = np.asarray(jax.jit(drive, static_argnums=2)(KEY, np.linspace(0.0, 10.0, 201), 200))
    assert np.abs(values).max() < 3
    assert np.abs(values).max() > 2
    gaussian = np.arctanh(values / 3)
    np.testing.assert_allclose(gaussian.std(), 1, atol=0.1)
    # A squared-exponential kernel: neighbours at a lengthscale are correlated by exp(-1/2).
    lag = np.mean(gaussian[:, :-40] * gaussian[:, 40:]) / gaussian.var()
    assert abs(lag - np.exp(-0.5)) < 0.15


@functools.cache
def found(system):
    """States of all steps and of half of them, and inputs, as NumPy arrays."""

    @jax.jit
    def both(key):
        fine, inputs = system.trajectories(key, 4)
        return fine, system.trajectories(key, 4, substeps=driven.SUBSTEPS // 2)[0], inputs

    return [np.asarray(one) for one in both(KEY)]


@pytest.mark.parametrize("system", driven.DRIVEN, ids=lambda one: one.system.name)
def test_trajectories_are_those_of_scipy(system):
    states, _, inputs = found(system)
    field, moments, values = right_hand_side(system.system.equations), times(system.system)[:41], inputs[0, :41]
    # The cubic of `control`: Hermite, with slopes that look back.
    back = np.diff(values, axis=0) / np.diff(moments)[:, None]
    drive = CubicHermiteSpline(moments, values, np.concatenate([back[:1], back]))
    want = [states[0, 0]]
    for ends in itertools.pairwise(moments):
        # Within one cubic, so that no step leaps over the bend between two.
        solution = solve_ivp(lambda t, y: field(t, y, drive(t)), ends, want[-1], "DOP853", rtol=1e-10, atol=1e-10)
        want.append(solution.y[:, -1])
    np.testing.assert_allclose(states[0, :41], want, atol=1e-8)


@pytest.mark.parametrize("system", driven.DRIVEN, ids=lambda one: one.system.name)
def test_half_the_steps_give_the_same_trajectories(system):
    fine, coarse, _ = found(system)
    assert np.max(np.abs(fine - coarse) / np.std(fine, axis=(0, 1))) < 1e-8


def test_refusals():
    with pytest.raises(ValueError, match="lengthscale must be > 0, got 0"):
        driven.RandomDrive(lengthscale=0)
    with jax.enable_x64(False), pytest.raises(TypeError, match="must be of float64"):
        driven.PITCHFORK.trajectories(KEY, 1)
