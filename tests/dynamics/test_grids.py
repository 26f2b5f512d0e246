"""Quantities on a periodic interval, and the equation that is known of one."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicHermiteSpline

from jaxkd.dynamics import Equations, written
from jaxkd.dynamics.driven import RandomDrive
from jaxkd.dynamics.grid_systems import DIFFUSION_REACTION, RandomWaves
from jaxkd.dynamics.grids import GridEquations, PeriodicGrid
from jaxkd.dynamics.slopes import FourierSlopes, GridSlopes
from jaxkd.dynamics.trajectories import trajectories

KEY = jax.random.key(0)
GRID = PeriodicGrid(length=2.0, quantities=("a", "b"), inputs=("u",), orders=(1, 2))
SMALL = dataclasses.replace(DIFFUSION_REACTION, samples=41, points=16)


def waves(points):
    """a = sin, b = cos of twice the angle, u = 1 + cos, and the angle of each place."""
    angle = np.pi * GRID.places(points)
    return np.concatenate([np.sin(angle), np.cos(2 * angle)]), 1 + np.cos(angle), angle


@functools.cache
def solutions():
    return jax.jit(lambda key: SMALL.trajectories(key, 3))(KEY)


def given(noise=0.0):
    states, inputs = solutions()
    states = states + noise * jnp.std(states) * jax.random.normal(KEY, states.shape)
    names = [written.symbols(one) for one in SMALL.grid.names(SMALL.points)]
    return trajectories(states, SMALL.times(), inputs, None, names=names[0], input_names=names[1])


def test_local_variables_are_values_derivatives_and_inputs():
    states, inputs, angle = waves(12)
    assert GRID.local_names() == (("a", "b"), ("a_x", "b_x", "a_xx", "b_xx", "u"))
    want = [
        np.sin(angle),
        np.cos(2 * angle),
        np.pi * np.cos(angle),
        -2 * np.pi * np.sin(2 * angle),
        -(np.pi**2) * np.sin(angle),
        -4 * np.pi**2 * np.cos(2 * angle),
        inputs,
    ]
    found = GRID.local(jnp.array([states, 2 * states]), jnp.array([inputs, inputs]))
    np.testing.assert_allclose(found[0], np.stack(want, axis=1), atol=1e-10)
    np.testing.assert_allclose(found[1, :, :6], 2 * found[0, :, :6], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("points", [12, 40])
def test_one_equation_holds_at_any_number_of_places(points):
    a, b, a_x, b_x, a_xx, b_xx, u = written.symbols(("a", "b", "a_x", "b_x", "a_xx", "b_xx", "u"))
    local = Equations.of([a_xx - a * b, u * b_x + b_xx], (a, b), (a_x, b_x, a_xx, b_xx, u))
    field = GridEquations(grid=GRID, local=local).vector_field()
    states, inputs, angle = waves(points)
    first = -(np.pi**2) * np.sin(angle) - np.sin(angle) * np.cos(2 * angle)
    second = -2 * np.pi * inputs * np.sin(2 * angle) - 4 * np.pi**2 * np.cos(2 * angle)
    want = np.concatenate([first, second])
    np.testing.assert_allclose(field(0.0, jnp.array(states), jnp.array(inputs)), want, atol=1e-9)
    np.testing.assert_allclose(field(0.0, jnp.array(states), lambda t: jnp.array(inputs) + 0 * t), want, atol=1e-9)
    # Turned by a place, all is the same but turned.
    turned = [jnp.array(np.roll(one.reshape(-1, points), 1, axis=1).ravel()) for one in (states, inputs, want)]
    np.testing.assert_allclose(field(0.0, *turned[:2]), turned[2], atol=1e-9)


def test_rates_have_the_gradient_of_differences():
    states, inputs, _ = waves(8)

    def energy(states):
        return jnp.sum(GRID.rates(lambda at: jnp.sin(at[:2]) * at[4:6] + at[6], states, jnp.array(inputs)) ** 2)

    check_grads(jax.jit(energy), (jnp.array(states),), order=1, modes=["rev"], rtol=1e-5)


def test_noise_in_space_is_cut_off():
    clean, noisy = solutions()[0], given(0.05).states
    cutoffs = SMALL.grid.cutoffs(noisy)
    assert cutoffs.tolist() == [SMALL.initial.waves]
    kept = SMALL.grid.without_shorter(noisy, cutoffs)
    # Of white noise the share of the waves that are kept is left.
    left = float(jnp.std(kept - clean) / jnp.std(noisy - clean))
    assert abs(left - np.sqrt((2 * SMALL.initial.waves + 1) / SMALL.points)) < 0.05


def test_slopes_on_a_grid_are_nearer_than_those_of_each_place():
    field = jax.jit(jax.vmap(SMALL.equations().vector_field(), in_axes=(None, 0, 0)))
    states, inputs = solutions()
    truth = field(0.0, states.reshape(-1, SMALL.points), inputs.reshape(-1, SMALL.points)).reshape(states.shape)
    errors = [
        float(jnp.linalg.norm(estimator(given(0.05))[1] - truth) / jnp.linalg.norm(truth))
        for estimator in (GridSlopes(grid=SMALL.grid), FourierSlopes())
    ]
    assert errors[0] < 0.9 * errors[1]


def test_each_place_is_a_record():
    records = given()
    at = SMALL.grid.at_each_place(records, records.states)
    assert at.states.shape == (3 * SMALL.points, SMALL.samples, 1)
    assert at.lengths.tolist() == [SMALL.samples] * 3 * SMALL.points
    np.testing.assert_allclose(at.states[SMALL.points + 2, :, 0], records.states[1, :, 2], atol=1e-3)
    np.testing.assert_array_equal(at.inputs[SMALL.points + 2, :, -1], records.inputs[1, :, 2])


def test_solutions_are_those_of_scipy():
    states, inputs = (np.asarray(one[0]) for one in solutions())
    times, angle = np.asarray(SMALL.times()), 2 * np.pi * np.arange(SMALL.points) / SMALL.points
    waves = np.fft.fftfreq(SMALL.points, 1 / SMALL.points)

    def right(t, s):
        curved = np.real(np.fft.ifft(-((2 * np.pi * waves) ** 2) * np.fft.fft(s)))
        return 0.01 * curved + 0.01 * s**2 + drive(t)

    back = np.diff(inputs, axis=0) / np.diff(times)[:, None]
    drive = CubicHermiteSpline(times, inputs, np.concatenate([back[:1], back]))
    found = solve_ivp(right, times[[0, -1]], states[0], "DOP853", times, rtol=1e-10, atol=1e-10, max_step=times[1])
    np.testing.assert_allclose(states, found.y.T, atol=1e-7)
    np.testing.assert_allclose(inputs - inputs[:, :1], 0.2 * np.sin(angle)[None] * np.ones_like(inputs), atol=1e-12)


def test_half_the_steps_and_twice_the_places_give_the_same_solutions():
    states, inputs = solutions()
    coarse = jax.jit(lambda key: SMALL.trajectories(key, 3, substeps=4)[0])(KEY)
    finer, driven = jax.jit(lambda key: dataclasses.replace(SMALL, points=32).trajectories(key, 3))(KEY)
    spread = float(jnp.std(states))
    assert float(jnp.max(jnp.abs(states - coarse))) < 1e-7 * spread
    np.testing.assert_allclose(driven[..., ::2], inputs, atol=1e-12)
    # Products of waves that the coarse grid cannot hold.
    np.testing.assert_allclose(finer[..., ::2], states, atol=1e-3 * spread)


def test_refusals():
    for changes, message in (
        ({"length": 0.0}, "length must be > 0, got 0"),
        ({"quantities": ()}, "quantities must be at least one, got none"),
        ({"orders": (1, 1)}, r"orders must be different and at least 1, got \(1, 1\)"),
        ({"orders": (0,)}, r"orders must be different and at least 1, got \(0,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(GRID, **changes)
    with pytest.raises(ValueError, match="states must be a whole number of places for each of 2, got 13"):
        GRID.local(jnp.zeros(13), jnp.zeros(6))
    with pytest.raises(ValueError, match="inputs must be a whole number of places for each of 1, got none"):
        GRID.local(jnp.zeros(12))
    with pytest.raises(ValueError, match="waves must be >= 1 and deviation > 0, got 0"):
        RandomWaves(waves=0)
    with jax.enable_x64(False), pytest.raises(TypeError, match="must be of float64"):
        SMALL.trajectories(KEY, 1)
    with pytest.raises(ValueError, match="lengthscale"):
        dataclasses.replace(SMALL, drive=RandomDrive(lengthscale=-1))
