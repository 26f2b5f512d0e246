"""Forecasts of trajectories that equations were not found on, and what is left of them."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from scipy.integrate import solve_ivp

from jaxkd.dynamics import Equations, held_out, systems
from jaxkd.dynamics.identification.simulate import forecasts, simulate, stays_near
from tests.dynamics.records import clean, times, with_noise

SYSTEM = systems.VAN_DER_POL
X, V = SYSTEM.equations.states
WRONG = Equations.of((V, -0.97 * X), (X, V)).within(SYSTEM.equations.terms)


def held(states, equations=SYSTEM.equations, system=SYSTEM, **options):
    return held_out(equations, jnp.asarray(states), jnp.asarray(times(system)), **options)


def with_coefficients(table):
    return dataclasses.replace(SYSTEM.equations, coefficients=np.asarray(table))


def test_the_true_equations_leave_noise():
    states = clean(SYSTEM, 3)
    measured = with_noise(states, 0.05)
    left = held(measured)
    assert left.forecast.shape == (12, 31, 2)
    assert left.reached.all()
    noise = np.std(measured - states, axis=(0, 1))
    np.testing.assert_allclose(left.noise, noise, rtol=0.25)
    assert np.all(left.forecast_error < 0.05)
    assert np.all(left.autocorrelation < 0.15)  # below 0 by the start, which takes some of the noise
    np.testing.assert_allclose(np.std(left.remainder, axis=(0, 1)), noise, rtol=0.1)


def test_other_equations_leave_more():
    left = held(clean(SYSTEM, 3), WRONG)
    assert np.all(left.forecast_error > 0.2)
    assert np.all(left.autocorrelation > 0.8)
    assert np.all(left.left_over > 0.05)


def test_units_change_nothing():
    """Tolerances are shares of the standard deviation: a nanometre is measured as well as a kilometre."""
    measured, unit = with_noise(clean(SYSTEM, 3), 0.02), 1e-9
    degrees = np.array([sympy.Poly(term, X, V).total_degree() for term in SYSTEM.equations.terms])
    table = SYSTEM.equations.coefficients * unit ** (1.0 - degrees)[:, None]
    whole, small = held(measured), held(unit * measured, with_coefficients(table))
    np.testing.assert_allclose(small.forecast, unit * whole.forecast, rtol=1e-6, atol=1e-6 * unit)
    np.testing.assert_allclose(small.autocorrelation, whole.autocorrelation, atol=1e-4)


def test_trajectories_end_where_their_samples_do():
    longer = dataclasses.replace(SYSTEM, duration=24.0, samples=241)
    filled = clean(longer, 2).copy()
    filled[0, 121:] = 1e3
    left = held(filled, system=longer, lengths=(121, 241))
    assert left.measured.max() < 10
    assert left.trajectory.tolist() == [0] * 4 + [1] * 8
    assert left.start.tolist() == [*range(0, 91, 30), *range(0, 211, 30)]
    assert np.all(left.forecast_error < 0.01)


def test_what_diverges_is_told():
    """x' = 9 v and v' = 9 x + x^2 v."""
    table = np.array([[9.0 * (term == V), 9.0 * (term == X) + (term == X**2 * V)] for term in SYSTEM.equations.terms])
    left = held(clean(SYSTEM, 3), with_coefficients(table))
    assert not left.reached.any()
    assert np.isnan(left.forecast).all()
    assert np.isnan(left.forecast_error).all()


@pytest.mark.slow
def test_inputs_drive_simulations_as_scipy_says():
    x, u = sympy.symbols("x u")
    driven = Equations.of((u - x,), (x,), (u,))
    moments = np.linspace(0.0, 6.0, 121)
    push = np.sin(2 * moments)
    want = solve_ivp(lambda t, y: np.sin(2 * t) - y, (0, 6), [0.5], t_eval=moments, rtol=1e-10, atol=1e-12).y.T
    inputs, deviation = jnp.asarray(push)[:, None], jnp.ones(1)
    said = {"terms": driven.terms, "variables": driven.variables, "deviation": deviation}
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
    low, high, moments = np.array([0.0]), np.array([1.0]), jnp.asarray(np.linspace(0.0, 5.0, 51))
    grows = Equations.of((x / 2,), (x,))
    near = [stays_near(grows, jnp.asarray(np.array([start])), moments, low=low, high=high) for start in (0.0, 0.1, 0.5)]
    assert near == [True, True, False]


def test_velocities_that_were_not_measured_are_those_of_the_curve():
    x, v = sympy.symbols("x v")
    times = jnp.linspace(0.0, 4.0, 33)[None]
    found = held_out(Equations.of([v, -x], (x, v)), jnp.cos(times)[..., None], times, order=2)
    assert found.forecast.shape == found.remainder.shape == (4, 9, 1)
    assert found.forecast_error[0] < 0.02
