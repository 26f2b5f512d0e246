"""From noisy trajectories to equations."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from scipy.integrate import solve_ivp

from jaxkd.dynamics import Equations, bootstrap, identify, polynomials, solve, systems
from tests.dynamics.records import clean, times, with_noise

SYSTEM = systems.LOTKA_VOLTERRA
X, Y = NAMES = SYSTEM.equations.states
TERMS = polynomials(NAMES, degree=2)


def measured(system, level, count=8):
    return jnp.asarray(with_noise(clean(system, count), level))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("system", "level"),
    [(systems.DAMPED_OSCILLATOR, 0.05), (systems.VAN_DER_POL, 0.05), (systems.LOTKA_VOLTERRA, 0.1)],
    ids=lambda value: getattr(value, "name", value),
)
def test_equations_are_found(system, level):
    names = system.equations.states
    terms = polynomials(names, degree=3)
    found = identify(measured(system, level), system.times(), names=names, terms=terms)
    truth = system.equations.within(terms).coefficients
    np.testing.assert_array_equal(found.equations.coefficients != 0, truth != 0)
    np.testing.assert_allclose(found.equations.coefficients, truth, rtol=0.1)
    expected = clean(system, 1, seed=9)[0]
    forecast = solve(found.equations.vector_field(), jnp.asarray(expected[0]), system.times())
    assert forecast.succeeded
    assert np.sqrt(np.mean((forecast.states - expected) ** 2)) < 0.2 * np.std(expected)


def test_one_long_trajectory_is_cut_into_blocks():
    long = dataclasses.replace(systems.VAN_DER_POL, duration=20.0, samples=401)
    names = long.equations.states
    found = identify(measured(long, 0.03, count=1), long.times(), names=names, terms=polynomials(names, degree=3))
    assert found.fit.triangles.shape[0] == 8
    assert found.window == 21  # a twelfth of the record would be longer than a turn of the system
    truth = long.equations.within(found.equations.terms).coefficients
    np.testing.assert_array_equal(found.equations.coefficients != 0, truth != 0)
    np.testing.assert_allclose(found.equations.coefficients, truth, rtol=0.05)


def test_a_known_input_is_part_of_the_equations():
    """x' = u - x and y' = x - y with u = sin(a t) + a / 2, with another a for each trajectory."""
    moments, u = np.linspace(0.0, 8.0, 81), sympy.Symbol("u")
    pushes = np.linspace(0.5, 3.0, 8)

    def field(t, states, push):
        return [np.sin(push * t) + push / 2 - states[0], states[0] - states[1]]

    states = [solve_ivp(field, (0, 8), [push, 0.0], t_eval=moments, args=(push,), rtol=1e-8).y.T for push in pushes]
    found = identify(
        jnp.asarray(with_noise(np.stack(states), 0.02)),
        jnp.asarray(moments),
        names=NAMES,
        inputs=jnp.asarray(np.sin(pushes[:, None] * moments) + pushes[:, None] / 2)[..., None],
        input_names=(u,),
        terms=(sympy.Integer(1), X, Y, u, X * Y, X * u),
    )
    assert str(found.equations.rounded(1)) == "dx/dt = -x + u\ndy/dt = x - y"


def test_units_are_those_of_the_data():
    states = measured(SYSTEM, 0.02)
    found = identify(states, SYSTEM.times(), names=NAMES, terms=TERMS).equations.coefficients
    other = identify(1000 * states, 60 * SYSTEM.times(), names=NAMES, terms=TERMS).equations.coefficients
    degrees = np.array([sympy.Poly(term, *NAMES).total_degree() for term in TERMS])
    np.testing.assert_allclose(other, found * (1000.0 ** (1 - degrees))[:, None] / 60, rtol=1e-6)


def test_a_state_that_does_not_move_has_no_terms():
    """x' = x - x^2 beside it."""
    moments = times(SYSTEM)
    states = np.stack([1 / (1 + np.outer(np.linspace(-0.9, 4.0, 8), np.exp(-moments))), np.full((8, 81), 3.0)], axis=2)
    found = identify(jnp.asarray(states), jnp.asarray(moments), names=NAMES, terms=TERMS).equations
    assert str(found.rounded(2)).splitlines()[1] == "dy/dt = 0"
    assert np.any(found.coefficients[:, 0])


def test_trajectories_of_different_lengths_and_times_are_one_problem():
    """Values after a trajectory's samples are not read, and a short trajectory weighs what it says."""
    states, lengths = np.asarray(measured(SYSTEM, 0.02)), (81, 60, 40, 81, 30, 70, 9, 81)
    there = np.arange(81) < np.array(lengths)[:, None]
    found = [
        identify(
            jnp.asarray(np.where(there[..., None], states, filled)),
            jnp.asarray(np.where(there, times(SYSTEM), filled) + np.arange(8.0)[:, None]),
            names=NAMES,
            terms=TERMS,
            lengths=lengths,
        ).equations.coefficients
        for filled in (0.0, 1e3)
    ]
    np.testing.assert_array_equal(found[0], found[1])
    truth = SYSTEM.equations.within(TERMS).coefficients
    np.testing.assert_array_equal(found[0] != 0, truth != 0)
    np.testing.assert_allclose(found[0], truth, rtol=0.05)


def test_what_is_known_is_kept_and_signs_are():
    """A part that no term of the library can say, a coefficient that is given, and one of a sign that is not there."""
    truth, known = (Equations.of((Y, -sympy.sin(X) - rate * Y), NAMES) for rate in (0.2, 0))
    system = dataclasses.replace(systems.DAMPED_OSCILLATOR, equations=truth, duration=8.0, samples=81)
    found = functools.partial(identify, measured(system, 0.01), system.times(), names=NAMES, terms=TERMS, known=known)
    assert str(found().equations.rounded(1)) == "dx/dt = y\ndy/dt = -0.2 y - sin(x)"
    signs, row = np.zeros((len(TERMS), 2), int), TERMS.index(Y)
    signs[row, 1] = 1
    signed = found(signs=jnp.asarray(signs))
    assert signed.equations.within((*TERMS, sympy.sin(X))).coefficients[row, 1] >= 0
    inclusion = np.asarray(bootstrap(signed.fit, jax.random.key(0), replicates=10).inclusion)
    assert inclusion[row, 1] == 0
    assert inclusion[row, 0] == 0  # given, and so not chosen


@pytest.mark.usefixtures("unchecked_shapes")
def test_what_is_no_record_is_refused():
    states, moments = np.asarray(measured(SYSTEM, 0.0)), times(SYSTEM)

    def refused(message, states=states, times=moments, *, error=ValueError, **changes):
        with pytest.raises(error, match=message):
            identify(jnp.asarray(states), jnp.asarray(times), **{"names": NAMES, "terms": TERMS, **changes})

    missing, mixed = states.copy(), moments.copy()
    missing[2, 7:9, 1] = np.nan
    mixed[3], mixed[9] = mixed[2], 0.0
    refused(r"states must be finite, got nan for y of trajectory 2 at sample 7, and 1 more", missing)
    refused(r"states must be \[trajectories, times, 2\] for the names \(x, y\), got \(8, 81, 1\)", states[..., :1])
    refused(r"inputs must be \[trajectories, times, 1\]", inputs=jnp.asarray(states), input_names=(sympy.Symbol("u"),))
    refused(r"terms must be made of x, y, got z", terms=(sympy.Symbol("z"),))
    refused(r"times must increase, got 0.2 at sample 3 of trajectory 0 after 0.2, and 15 more", times=mixed)
    refused(r"samples must be of float64", np.float32(states), np.float32(moments), error=TypeError)
    refused(r"lengths must be one a trajectory, from 2 to the 81 samples .* got \[81, 82, 1\]", lengths=(81, 82, 1))
    refused(
        r"states must have 3 windows of 9 samples at least, got trajectories of \[8, 9, 5, 5, 5, 5, 5, 5\]",
        lengths=(8, 9, 5, 5, 5, 5, 5, 5),
        window=9,
    )
    turned = dataclasses.replace(SYSTEM.equations, states=NAMES[::-1])
    refused(r"known must be equations of \(x, y\), got those of \(y, x\)", known=turned, rounds=0)
