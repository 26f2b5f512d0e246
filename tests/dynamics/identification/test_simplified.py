"""Equations without the terms that say next to nothing."""

import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from jaxkd.dynamics import Equations, simplified

X, Y, U = sympy.symbols("x y u")
POINTS = np.random.default_rng(0).standard_normal((50, 3))


def test_hand_value():
    points = jnp.array([[1.0], [-1.0]])
    sides = Equations.of([2 * X + 0.03 * X**2, X**2], (X, Y))
    assert str(simplified(sides, jnp.concatenate([points, points], axis=1))) == "dx/dt = 2 x\ndy/dt = x^2"
    assert str(simplified(sides, jnp.concatenate([points, points], axis=1), least=0.01)) == str(sides)


def test_units_change_no_choice():
    sides = [3 * X + 0.3 * X * U + 1e-3 * Y**3, 1e-5 * Y - 1e-5 * U + 1e-8]
    plain = simplified(Equations.of(sides, (X, Y), (U,)), jnp.asarray(POINTS))
    assert str(plain) == "dx/dt = 3 x + 0.3 u x\ndy/dt = -1e-05 u + 1e-05 y"
    thousandths = {X: X / 1000, Y: Y / 1000, U: U / 1000}
    other = simplified(
        Equations.of([1000 * side.xreplace(thousandths) for side in sides], (X, Y), (U,)), jnp.asarray(1000 * POINTS)
    )
    assert other.terms == plain.terms


def test_contributions_equal_float64_numpy():
    x, y, _ = POINTS.T
    parts = {X: 2 * x, X * Y: 0.1 * x * y, sympy.sin(Y): -0.5 * np.sin(y), sympy.Integer(1): 0.01 + 0 * x}
    whole = np.sqrt(np.mean(sum(parts.values()) ** 2))
    shares = {term: np.sqrt(np.mean(part**2)) / whole for term, part in parts.items()}
    sides = Equations.of([2 * X + 0.1 * X * Y - 0.5 * sympy.sin(Y) + 0.01], (X,), (Y, U))
    for least in (0.0, 0.003, 0.03, 0.1, 0.5):
        left = {term for term, share in shares.items() if share >= least}
        assert set(simplified(sides, jnp.asarray(POINTS), least=least).terms) == left


def test_where_nothing_is_left_a_zero_is():
    nothing = simplified(Equations.of([X], (X,)), jnp.ones((3, 1)), least=2.0)
    assert str(nothing) == "dx/dt = 0"
    assert nothing.vector_field()(0.0, jnp.ones(1)) == 0
    assert str(simplified(Equations.of([sympy.Integer(0)], (X,)), jnp.ones((3, 1)))) == "dx/dt = 0"


def test_shares_are_not_negative():
    with pytest.raises(ValueError, match=r"least must be >= 0, got -1"):
        simplified(Equations.of([X], (X,)), jnp.ones((3, 1)), least=-1)
