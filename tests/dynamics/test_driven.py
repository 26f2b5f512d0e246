"""Systems that a function of time drives."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicHermiteSpline

from jaxkd.dynamics import driven

KEY = jax.random.key(0)


def test_a_drive_is_smooth_and_bounded():
    times = jnp.linspace(0.0, 10.0, 201)
    drive = driven.RandomDrive(lengthscale=2.0, bound=3.0)
    values = np.asarray(drive(KEY, times, 200))
    assert np.abs(values).max() < 3
    assert np.abs(values).max() > 2
    gaussian = np.arctanh(values / 3)
    np.testing.assert_allclose(gaussian.std(), 1, atol=0.1)
    # A squared-exponential kernel: neighbours at a lengthscale are correlated by exp(-1/2).
    lag = np.mean(gaussian[:, :-40] * gaussian[:, 40:]) / gaussian.var()
    assert abs(lag - np.exp(-0.5)) < 0.15


@pytest.mark.parametrize("system", driven.DRIVEN, ids=lambda one: one.system.name)
def test_trajectories_are_those_of_scipy(system):
    small = dataclasses.replace(system, system=dataclasses.replace(system.system, duration=2.0, samples=41))
    states, inputs = jax.jit(lambda key: small.trajectories(key, 1))(KEY)
    times = np.linspace(0.0, 2.0, 41)
    # The cubic of `control`: Hermite, with slopes that look back.
    values = np.asarray(inputs[0, :, 0])
    back = np.diff(values) / np.diff(times)
    drive = CubicHermiteSpline(times, values, np.concatenate([back[:1], back]))
    field = small.system.equations.vector_field()
    right = jax.jit(lambda y, u: field(0.0, y, u))
    want = [np.asarray(states[0, 0])]
    for start, end in itertools.pairwise(times):
        # Within one cubic, so that no step leaps over the bend between two.
        solution = solve_ivp(
            lambda t, y: np.asarray(right(y, drive(t)[None])), (start, end), want[-1], "DOP853", rtol=1e-10, atol=1e-10
        )
        want.append(solution.y[:, -1])
    np.testing.assert_allclose(states[0], want, atol=1e-8)


@pytest.mark.parametrize("system", driven.DRIVEN, ids=lambda one: one.system.name)
def test_half_the_steps_give_the_same_trajectories(system):
    fine, coarse = (
        np.asarray(jax.jit(lambda key, n=n: system.trajectories(key, 4, substeps=n)[0])(KEY))
        for n in (driven.SUBSTEPS, driven.SUBSTEPS // 2)
    )
    assert np.max(np.abs(fine - coarse) / np.std(fine, axis=(0, 1))) < 1e-8


def test_refusals():
    with pytest.raises(ValueError, match="lengthscale must be > 0, got 0"):
        driven.RandomDrive(lengthscale=0)
    with jax.enable_x64(False), pytest.raises(TypeError, match="must be of float64"):
        driven.PITCHFORK.trajectories(KEY, 1)
