"""Quantities on a periodic interval, and the equation that is known of one."""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicHermiteSpline

from jaxkd.dynamics import Equations, FourierSlopes, GridSlopes, PeriodicGrid
from jaxkd.dynamics.derivatives.trajectories import trajectories
from jaxkd.dynamics.identification import parsing
from jaxkd.dynamics.systems import DIFFUSION_REACTION, GridEquations, RandomDrive, RandomWaves
from jaxkd.dynamics.systems.grid_systems import SUBSTEPS
from tests.dynamics.records import times, with_noise

KEY = jax.random.key(0)
GRID = PeriodicGrid(length=2.0, quantities=("a", "b"), inputs=("u",), orders=(1, 2))
SMALL = dataclasses.replace(DIFFUSION_REACTION, samples=41, points=16)


def waves(points):
    """a = sin, b = cos of twice the angle, u = 1 + cos, and the angle of each place."""
    angle = np.pi * GRID.places(points)
    return np.concatenate([np.sin(angle), np.cos(2 * angle)]), 1 + np.cos(angle), angle


@functools.cache
def solutions(*, points=SMALL.points, substeps=SUBSTEPS):
    """States and inputs, as NumPy arrays."""
    system = dataclasses.replace(SMALL, points=points)
    return [np.asarray(one) for one in jax.jit(lambda key: system.trajectories(key, 3, substeps=substeps))(KEY)]


def given(noise=0.0):
    states, inputs = solutions()
    names = [parsing.symbols(one) for one in SMALL.grid.names(SMALL.points)]
    measured, driven = jnp.asarray(with_noise(states, noise)), jnp.asarray(inputs)
    return trajectories(measured, SMALL.times(), driven, None, names=names[0], input_names=names[1])


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
    found = np.asarray(jax.jit(GRID.local)(np.array([states, 2 * states]), np.array([inputs, inputs])))
    np.testing.assert_allclose(found[0], np.stack(want, axis=1), atol=1e-10)
    np.testing.assert_allclose(found[1, :, :6], 2 * found[0, :, :6], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("points", [12, 40])
def test_one_equation_holds_at_any_number_of_places(points):
    a, b, a_x, b_x, a_xx, b_xx, u = parsing.symbols(("a", "b", "a_x", "b_x", "a_xx", "b_xx", "u"))
    local = Equations.of([a_xx - a * b, u * b_x + b_xx], (a, b), (a_x, b_x, a_xx, b_xx, u))
    whole = GridEquations(grid=GRID, local=local).vector_field()
    states, inputs, angle = waves(points)

    @jax.jit
    def field(states, inputs):
        return whole(0.0, states, inputs), whole(0.0, states, lambda t: inputs + 0 * t)

    first = -(np.pi**2) * np.sin(angle) - np.sin(angle) * np.cos(2 * angle)
    second = -2 * np.pi * inputs * np.sin(2 * angle) - 4 * np.pi**2 * np.cos(2 * angle)
    want = np.concatenate([first, second])
    for found in field(states, inputs):
        np.testing.assert_allclose(found, want, atol=1e-9)
    # Turned by a place, all is the same but turned.
    turned = [np.roll(one.reshape(-1, points), 1, axis=1).ravel() for one in (states, inputs, want)]
    np.testing.assert_allclose(field(*turned[:2])[0], turned[2], atol=1e-9)


def test_rates_have_the_gradient_of_differences():
    states, inputs, _ = waves(8)

    def energy(states):
        return jnp.sum(GRID.rates(lambda at: jnp.sin(at[:2]) * at[4:6] + at[6], states, jnp.array(inputs)) ** 2)

    check_grads(jax.jit(energy), (jnp.array(states),), order=1, modes=["rev"], rtol=1e-5)


def test_noise_in_space_is_cut_off():
    clean, noisy = solutions()[0], given(0.05).states
    cutoffs = jax.jit(SMALL.grid.cutoffs)(noisy)
    assert cutoffs.tolist() == [SMALL.initial.waves]
    kept = np.asarray(jax.jit(SMALL.grid.without_shorter)(noisy, cutoffs))
    # Of white noise the share of the waves that are kept is left.
    left = np.std(kept - clean) / np.std(np.asarray(noisy) - clean)
    assert abs(left - np.sqrt((2 * SMALL.initial.waves + 1) / SMALL.points)) < 0.05


def test_slopes_on_a_grid_are_nearer_than_those_of_each_place():
    field = jax.jit(jax.vmap(SMALL.equations().vector_field(), in_axes=(None, 0, 0)))
    states, inputs = solutions()
    truth = np.asarray(field(0.0, states.reshape(-1, SMALL.points), inputs.reshape(-1, SMALL.points)))
    errors = [
        np.linalg.norm(np.asarray(estimator(given(0.05))[1]).reshape(truth.shape) - truth) / np.linalg.norm(truth)
        for estimator in (GridSlopes(grid=SMALL.grid), FourierSlopes())
    ]
    assert errors[0] < 0.9 * errors[1]


def test_each_place_is_a_record():
    records = given()
    at = SMALL.grid.at_each_point(records, records.states)
    states, inputs = np.asarray(at.states), np.asarray(at.inputs)
    assert states.shape == (3 * SMALL.points, SMALL.samples, 1)
    assert at.lengths.tolist() == [SMALL.samples] * 3 * SMALL.points
    np.testing.assert_allclose(states[SMALL.points + 2, :, 0], solutions()[0][1, :, 2], atol=1e-3)
    np.testing.assert_array_equal(inputs[SMALL.points + 2, :, -1], solutions()[1][1, :, 2])


def test_solutions_are_those_of_scipy():
    (states, inputs), (coarse, _) = ([one[0] for one in solutions(substeps=n)] for n in (SUBSTEPS, SUBSTEPS // 2))
    moments, angle = times(SMALL), 2 * np.pi * np.arange(SMALL.points) / SMALL.points
    waves = np.fft.fftfreq(SMALL.points, 1 / SMALL.points)

    def right(t, s):
        curved = np.real(np.fft.ifft(-((2 * np.pi * waves) ** 2) * np.fft.fft(s)))
        return 0.01 * curved + 0.01 * s**2 + drive(t)

    back = np.diff(inputs, axis=0) / np.diff(moments)[:, None]
    drive, tolerance = CubicHermiteSpline(moments, inputs, np.concatenate([back[:1], back])), 1e-10
    want, steps = [states[0]], 0
    for ends in itertools.pairwise(moments):
        # Within one cubic, so that no step leaps over the bend between two.
        found = solve_ivp(right, ends, want[-1], "DOP853", rtol=tolerance, atol=tolerance)
        want.append(found.y[:, -1])
        steps += found.t.size - 1
    # Ours is off by a fifteenth of what half of its steps change, as methods of fourth order are once steps are small:
    # twice that bounds it.  SciPy's steps may each be off, in the mean over the places, by their tolerance: at one
    # place by the root of the places times it.  Diffusion damps it, s^2 lets it grow by exp(0.02 max|s|) at most.
    largest = np.max(np.abs(states))
    ours = np.max(np.abs(states - coarse)) / 15
    theirs = steps * np.sqrt(SMALL.points) * tolerance * (1 + largest) * np.exp(0.02 * largest)
    assert np.max(np.abs(states - want)) < 2 * ours + theirs
    np.testing.assert_allclose(inputs - inputs[:, :1], 0.2 * np.sin(angle)[None] * np.ones_like(inputs), atol=1e-12)


def test_half_the_steps_and_twice_the_places_give_the_same_solutions():
    (states, inputs), (coarse, _) = (solutions(substeps=n) for n in (SUBSTEPS, SUBSTEPS // 2))
    finer, driven = solutions(points=32)
    deviation = np.std(states)
    assert np.max(np.abs(states - coarse)) < 1e-7 * deviation
    np.testing.assert_allclose(driven[..., ::2], inputs, atol=1e-12)
    # Products of waves that the coarse grid cannot hold.
    np.testing.assert_allclose(finer[..., ::2], states, atol=1e-3 * deviation)


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
