"""Equations that are read, printed and run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from jaxkd.dynamics import Equations, polynomials

X, Y, U = sympy.symbols("x y u")
SIDES = (1.5 * X - X * Y, -3 * Y + X * Y + sympy.sin(X) * U - 0.25 * X**2 + 2)
EQUATIONS = Equations.of(SIDES, (X, Y), (U,))


def test_they_are_printed_as_one_writes_them():
    assert str(EQUATIONS).splitlines() == ["dx/dt = 1.5 x - x y", "dy/dt = 2 - 0.25 x^2 - 3 y + u sin(x) + x y"]
    first, second = EQUATIONS.latex().split("\\\\\n")
    assert first == r"\dot{x} &= 1.5 \, x - x y "
    assert second == r"\dot{y} &= 2 - 0.25 \, x^{2} - 3 \, y + u \sin{\left(x \right)} + x y"
    nothing = Equations(states=(X,), terms=(X,), coefficients=np.zeros((1, 1)))
    assert str(nothing) == "dx/dt = 0"


def test_expressions_are_what_they_were_made_of():
    for got, want in zip(EQUATIONS.expressions(), SIDES, strict=True):
        assert sympy.simplify(got - want) == 0
    again = Equations.of(EQUATIONS.expressions(), (X, Y), (U,))
    np.testing.assert_array_equal(again.coefficients, EQUATIONS.coefficients)


def test_python_source_sympy_and_jax_agree():
    namespace = {}
    exec(EQUATIONS.python("slopes"), namespace)
    point = (0.3, -1.2, 0.7)
    plain = namespace["slopes"](*point)
    exact = [float(side.subs(dict(zip((X, Y, U), point, strict=True)))) for side in EQUATIONS.expressions()]
    field = EQUATIONS.vector_field()
    state, control = jnp.array(point[:2]), jnp.array(point[2:])
    for got in (plain, field(0.0, state, control), jax.jit(field)(0.0, state, control)):
        np.testing.assert_allclose(got, exact, rtol=1e-14)
    np.testing.assert_allclose(field(0.7, state, lambda t: jnp.array([t])), exact, rtol=1e-14)


def test_a_larger_library_holds_the_same_equations():
    small = Equations.of((1.5 * X - X * Y, -3 * Y), (X, Y))
    terms = polynomials((X, Y), degree=3)
    large = small.within(terms)
    assert str(large) == str(small)
    assert large.coefficients.shape == (10, 2)
    with pytest.raises(ValueError, match=r"terms must hold those of the equations, which have x\*y besides"):
        small.within((X, Y))


def test_rounding_is_of_significant_digits():
    table = np.array([[1.23456e-5], [98765.0]])
    rounded = Equations(states=(X,), terms=(X, X**2), coefficients=table).rounded(3)
    assert str(rounded) == "dx/dt = 1.23e-05 x + 98800 x^2"


def test_a_table_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"coefficients must be \[terms, states\] = \(3, 1\), got \(1, 3\)"):
        Equations(states=(X,), terms=(X, X**2, X**3), coefficients=np.zeros((1, 3)))
