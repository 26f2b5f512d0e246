"""From noisy trajectories to equations."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from jaxkd.dynamics import Equations, bootstrap, identify, polynomials, solve, systems


def measured(system, level, count=8, seed=0):
    return systems.with_noise(system.trajectories(jax.random.key(seed), count), jax.random.key(seed + 1), level=level)


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
    clean = system.trajectories(jax.random.key(9), 1)[0]
    forecast = solve(found.equations.vector_field(), clean[0], system.times())
    assert forecast.succeeded
    assert np.sqrt(np.mean((forecast.states - clean) ** 2)) < 0.2 * np.std(clean)


def test_one_long_trajectory_is_cut_into_blocks():
    system = systems.VAN_DER_POL
    long = systems.System(name="long", equations=system.equations, initial=system.initial, duration=60.0, samples=1201)
    states = measured(long, 0.03, count=1)
    names = system.equations.states
    found = identify(states, long.times(), names=names, terms=polynomials(names, degree=3))
    assert found.fit.triangles.shape[0] == 8
    assert found.window == 21  # a twelfth of the record would be longer than a turn of the system
    truth = system.equations.within(found.equations.terms).coefficients
    np.testing.assert_array_equal(found.equations.coefficients != 0, truth != 0)
    np.testing.assert_allclose(found.equations.coefficients, truth, rtol=0.05)


def test_a_known_input_is_part_of_the_equations():
    """x' = u - x, with another u for each trajectory."""
    x, u = sympy.symbols("x u")
    times = jnp.linspace(0.0, 6.0, 121)
    driven = Equations.of((u - x,), (x,), (u,))
    pushes = [lambda t, a=a: jnp.array([jnp.sin(a * t) + 0.5 * a]) for a in (0.5, 0.8, 1.2, 1.7, 2.3, 2.9)]
    states = jnp.stack(
        [solve(driven.vector_field(), jnp.array([float(a)]), times, push).states for a, push in enumerate(pushes)]
    )
    controls = jnp.stack([jax.vmap(push)(times) for push in pushes])
    noisy = systems.with_noise(states, jax.random.key(0), level=0.02)
    terms = polynomials((x, u), degree=2)
    found = identify(noisy, times, names=(x,), inputs=controls, input_names=(u,), terms=terms, folds=6)
    assert str(found.equations.rounded(1)) == "dx/dt = -x + u"


def test_units_are_those_of_the_data():
    system = systems.LOTKA_VOLTERRA
    names, states = system.equations.states, measured(system, 0.02)
    terms = polynomials(names, degree=2)
    found = identify(states, system.times(), names=names, terms=terms).equations.coefficients
    other = identify(1000 * states, 60 * system.times(), names=names, terms=terms).equations.coefficients
    degrees = np.array([sympy.Poly(term, *names).total_degree() for term in terms])
    np.testing.assert_allclose(other, found * (1000.0 ** (1 - degrees))[:, None] / 60, rtol=1e-6)


def test_a_state_that_does_not_move_has_no_terms():
    system = systems.LOTKA_VOLTERRA
    states = measured(system, 0.0, count=4)
    still = jnp.concatenate([states, jnp.full_like(states[..., :1], 3.0)], axis=2)
    names = sympy.symbols("x y z")
    found = identify(still, system.times(), names=names, terms=polynomials(names, degree=2)).equations
    assert str(found.rounded(3)).splitlines()[2] == "dz/dt = 0"


def test_trajectories_of_different_lengths_and_times_are_one_problem():
    """What stands after a trajectory's samples is not read, and a short trajectory weighs what it says."""
    system = systems.VAN_DER_POL
    states, times = measured(system, 0.02), jnp.tile(system.times(), (8, 1))
    lengths = (121, 90, 60, 121, 40, 100, 9, 121)
    there = jnp.arange(121)[None] < jnp.array(lengths)[:, None]
    names = system.equations.states
    terms = polynomials(names, degree=3)
    found = [
        identify(
            jnp.where(there[..., None], states, filled),
            jnp.where(there, times, filled) + jnp.arange(8.0)[:, None],
            names=names,
            terms=terms,
            lengths=lengths,
        )
        for filled in (0.0, 1e3)
    ]
    np.testing.assert_array_equal(found[0].equations.coefficients, found[1].equations.coefficients)
    truth = system.equations.within(terms).coefficients
    np.testing.assert_array_equal(found[0].equations.coefficients != 0, truth != 0)
    np.testing.assert_allclose(found[0].equations.coefficients, truth, rtol=0.05)


def test_what_is_known_is_kept_and_signs_are():
    """A part that no term of the library can say, a coefficient that is given, and one of a sign that is not there."""
    x, v = names = sympy.symbols("x v")
    truth = Equations.of((v, -sympy.sin(x) - 0.2 * v), names)
    system = dataclasses.replace(systems.DAMPED_OSCILLATOR, equations=truth)
    states, times, terms = measured(system, 0.01), system.times(), polynomials(names, degree=2)
    known = Equations.of((v, -sympy.sin(x)), names)
    found = identify(states, times, names=names, terms=terms, known=known).equations
    assert str(found.rounded(1)) == "dx/dt = v\ndv/dt = -0.2 v - sin(x)"
    signs = np.zeros((len(terms), 2), int)
    signs[terms.index(v), 1] = 1
    signed = identify(states, times, names=names, terms=terms, known=known, signs=jnp.asarray(signs))
    assert np.all(signed.equations.within((*terms, sympy.sin(x))).coefficients[terms.index(v), 1] >= 0)
    drawn = bootstrap(signed.fit, jax.random.key(0), replicates=10)
    assert drawn.inclusion[terms.index(v), 1] == 0
    assert drawn.inclusion[terms.index(v), 0] == 0  # given, and so not chosen


@pytest.mark.usefixtures("unchecked_shapes")
def test_what_is_no_record_is_refused():
    system = systems.LOTKA_VOLTERRA
    names, states, times = system.equations.states, measured(system, 0.0, count=3), system.times()
    terms = polynomials(names, degree=1)
    with pytest.raises(
        ValueError, match=r"states must be finite, got nan for y of trajectory 2 at sample 7, and 1 more"
    ):
        identify(states.at[2, 7:9, 1].set(jnp.nan), times, names=names, terms=terms)
    with pytest.raises(
        ValueError, match=r"states must be \[trajectories, times, 2\] for the names \(x, y\), got \(3, 81, 1\)"
    ):
        identify(states[..., :1], times, names=names, terms=terms)
    with pytest.raises(ValueError, match=r"inputs must be \[trajectories, times, 1\]"):
        identify(states, times, names=names, terms=terms, inputs=states, input_names=(sympy.Symbol("u"),))
    with pytest.raises(ValueError, match=r"terms must be made of x, y, got z"):
        identify(states, times, names=names, terms=(sympy.Symbol("z"),))
    with pytest.raises(
        ValueError, match=r"times must increase, got 0.2 at sample 3 of trajectory 0 after 0.2, and 5 more"
    ):
        identify(states, times.at[3].set(times[2]).at[9].set(0.0), names=names, terms=terms)
    with pytest.raises(TypeError, match=r"samples must be of float64"):
        identify(states.astype(jnp.float32), times.astype(jnp.float32), names=names, terms=terms)
    with pytest.raises(
        ValueError, match=r"lengths must be one a trajectory, from 2 to the 81 samples .* got \[81, 82, 1\]"
    ):
        identify(states, times, names=names, terms=terms, lengths=(81, 82, 1))
    with pytest.raises(
        ValueError, match=r"states must have 3 windows of 9 samples at least, got trajectories of \[8, 9, 5\]"
    ):
        identify(states, times, names=names, terms=terms, lengths=(8, 9, 5), window=9)
    with pytest.raises(ValueError, match=r"known must be equations of \(x, y\), got those of \(y, x\)"):
        other = dataclasses.replace(system.equations, states=names[::-1])
        identify(states, times, names=names, terms=terms, known=other)
