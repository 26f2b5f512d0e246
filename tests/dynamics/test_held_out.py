"""Forecasts of trajectories that equations were not found on, and what is left of them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from scipy.integrate import solve_ivp

from jaxkd.dynamics import Equations, held_out, systems
from jaxkd.dynamics.simulate import forecasts, simulate, stays_near

SYSTEM = systems.VAN_DER_POL
X, V = SYSTEM.equations.states
WRONG = Equations.of((V, -0.97 * X), (X, V)).within(SYSTEM.equations.terms)


@pytest.fixture(scope="module")
def trajectories():
    with jax.enable_x64(True):
        return SYSTEM.trajectories(jax.random.key(0), 2)


def times(count=2):
    return jnp.tile(SYSTEM.times(), (count, 1))


def test_the_true_equations_leave_noise(trajectories):
    measured = systems.with_noise(trajectories, jax.random.key(1), level=0.05)
    held = held_out(SYSTEM.equations, measured, times())
    assert held.forecast.shape == (8, 31, 2)
    assert held.reached.all()
    spread = np.std(np.asarray(trajectories), axis=(0, 1))
    np.testing.assert_allclose(held.noise, 0.05 * spread, rtol=0.25)
    assert np.all(held.forecast_error < 0.05)
    assert np.all(held.autocorrelation < 0.15)  # below 0 by the start, which takes some of the noise
    np.testing.assert_allclose(np.std(held.remainder, axis=(0, 1)), 0.05 * spread, rtol=0.1)


def test_other_equations_leave_more(trajectories):
    held = held_out(WRONG, trajectories, times())
    assert np.all(held.forecast_error > 0.2)
    assert np.all(held.autocorrelation > 0.8)
    assert np.all(held.left_over > 0.05)


def test_units_change_nothing(trajectories):
    """Tolerances are shares of the spread: a nanometre is measured as well as a kilometre."""
    measured, unit = systems.with_noise(trajectories, jax.random.key(1), level=0.02), 1e-9
    degrees = np.array([sympy.Poly(term, X, V).total_degree() for term in SYSTEM.equations.terms])
    table = SYSTEM.equations.coefficients * unit ** (1.0 - degrees)[:, None]
    other = dataclasses.replace(SYSTEM.equations, coefficients=table)
    held, small = held_out(SYSTEM.equations, measured, times()), held_out(other, unit * measured, times())
    np.testing.assert_allclose(small.forecast, unit * held.forecast, rtol=1e-6, atol=1e-6 * unit)
    np.testing.assert_allclose(small.autocorrelation, held.autocorrelation, atol=1e-4)


def test_trajectories_end_where_their_samples_do(trajectories):
    lengths = (121, 60)
    filled = trajectories.at[1, 60:].set(1e3)
    held = held_out(SYSTEM.equations, filled, times(), lengths=lengths)
    assert held.measured.max() < 10
    assert held.trajectory.tolist() == [0] * 8 + [1] * 3
    assert held.start.tolist() == [*range(0, 106, 15), 0, 15, 30]
    assert np.all(held.forecast_error < 0.01)


def test_what_diverges_is_told(trajectories):
    blown = Equations.of((X**3 + 5, V**3 + 5), (X, V))
    held = held_out(blown, trajectories, times())
    assert not held.reached.any()
    assert np.isnan(held.forecast).all()
    assert np.isnan(held.forecast_error).all()


@pytest.mark.slow
def test_inputs_drive_simulations_as_scipy_says():
    x, u = sympy.symbols("x u")
    driven = Equations.of((u - x,), (x,), (u,))
    moments = np.linspace(0.0, 6.0, 121)
    push = np.sin(2 * moments)
    want = solve_ivp(lambda t, y: np.sin(2 * t) - y, (0, 6), [0.5], t_eval=moments, rtol=1e-10, atol=1e-12).y.T
    inputs, spread = jnp.asarray(push)[:, None], jnp.ones(1)
    said = {"terms": driven.terms, "variables": driven.variables, "spread": spread}
    table, start = jnp.asarray(driven.coefficients), jnp.array([0.5])
    got = simulate(table, start, jnp.asarray(moments), inputs, **said)
    np.testing.assert_allclose(got.states, want, atol=1e-3)  # of the cubics between the samples
    held = held_out(driven, jnp.asarray(want)[None], jnp.asarray(moments)[None], inputs=inputs[None])
    assert held.forecast_error[0] < 1e-2
    bundle = forecasts(
        jnp.stack([table, jnp.zeros((2, 1))]), jnp.stack([start] * 2), jnp.asarray(moments), inputs, **said
    )
    np.testing.assert_allclose(bundle[0], got.states, rtol=1e-6)
    np.testing.assert_allclose(bundle[1], 0.5)
    assert stays_near(driven, start, jnp.asarray(moments), inputs, low=want.min(0), high=want.max(0))


def test_a_simulation_that_leaves_the_box_of_the_data_does_not_stay_near_it():
    x = sympy.Symbol("x")
    low, high, moments = np.array([0.0]), np.array([1.0]), jnp.linspace(0.0, 5.0, 51)
    grows = Equations.of((x / 2,), (x,))
    near = [stays_near(grows, jnp.array([start]), moments, low=low, high=high) for start in (0.0, 0.1, 0.5)]
    assert near == [True, True, False]
