"""Equations of second order, from positions alone."""

import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from jaxkd.dynamics import Equations, identify, polynomials
from jaxkd.dynamics.identification.second_order import first_order, first_order_table, velocities
from tests.dynamics.records import SUBSTEPS, solved

X, Y, U = sympy.symbols("x y u")
DX, DY = velocities((X, Y))
PENDULUM = Equations.of([DX, -4 * sympy.sin(X) - 0.3 * DX], (X, DX))


def test_a_system_of_first_order_has_the_velocities_as_states():
    accelerations = Equations.of([U - 2 * X - DX, 3 * X * DY], (X, Y), (DX, DY, U))
    system = first_order(accelerations)
    assert (system.states, system.inputs) == ((X, Y, DX, DY), (U,))
    assert system.expressions() == (DX, DY, U - 2 * X - DX, 3 * X * DY)


def test_tables_of_replicates_are_systems_too():
    table = np.arange(4.0).reshape(2, 2, 1)
    whole = first_order_table(table, (X, DX), (DX,))
    np.testing.assert_array_equal(whole, [[[0, 0], [1, 1]], [[0, 2], [1, 3]]])


def test_a_damped_pendulum_is_found_from_its_angle_at_random_times():
    generator = np.random.default_rng(0)
    moments = np.sort(np.append(0.0, generator.uniform(0, 8, 80)))
    starts = generator.uniform((-2.4, -0.5), (2.4, 0.5), (8, 2))
    states = solved(PENDULUM, starts, np.diff(moments) / SUBSTEPS)
    angles = states[..., :1] + 0.01 * generator.standard_normal(states[..., :1].shape)
    terms = (*polynomials((X, DX), degree=1), sympy.sin(X), sympy.cos(X))
    found = identify(jnp.asarray(angles), jnp.asarray(moments), names=(X,), velocities=(DX,), terms=terms)
    assert found.equations.states == (X,)
    coefficients = dict(zip(terms, found.equations.coefficients[:, 0].tolist(), strict=True))
    assert {term for term, value in coefficients.items() if value} == {DX, sympy.sin(X)}
    assert coefficients[sympy.sin(X)] == pytest.approx(-4, abs=0.05)
    assert coefficients[DX] == pytest.approx(-0.3, abs=0.03)
    assert found.system.states == (X, DX)
    np.testing.assert_allclose(found.states[..., 0], states[..., 0], atol=0.03)
    speed = np.asarray(found.states[..., 1]) - states[..., 1]
    assert np.sqrt(np.mean(speed**2)) < 0.05


def test_velocities_are_one_per_state():
    with pytest.raises(ValueError, match=r"velocities must be one per state, got \(dx_dt,\) for \(x, y\)\. Name 2, or"):
        identify(
            jnp.zeros((1, 40, 2)), jnp.arange(40.0), names=(X, Y), velocities=(DX,), terms=polynomials((X,), degree=1)
        )
