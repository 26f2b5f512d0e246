"""Terms, known parts, signs and units, as a person writes them."""

import numpy as np
import pytest
import sympy

from jaxkd.dynamics import pad, polynomials
from jaxkd.dynamics.identification import parsing
from jaxkd.dynamics.identification.units import unit_of

X, V, U = sympy.symbols("x v u")


def test_expressions_are_sympys():
    assert parsing.expression("x*v + sin(2*x)", (X, V)) == X * V + sympy.sin(2 * X)
    beta = sympy.Symbol("beta")
    assert parsing.expression("beta**2", (beta,)) == beta**2  # a column's name, not the function


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x*", r"terms must be expressions such as x\*y or sin\(x\), got 'x\*'"),
        ("x, v", r"terms must be expressions such as x\*y or sin\(x\), got 'x, v'\."),
        ("x*w", r"terms must be made of x, v, got w in 'x\*w'"),
        ("sine(x)", r"got sine in 'sine\(x\)'\. Did you mean sin\?"),
    ],
)
def test_what_is_no_expression_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parsing.expression(text, (X, V))


def test_known_parts_are_equations():
    known = parsing.known(["x = v", "v = -9.81 + 0.5*u"], (X, V), (U,))
    assert str(known) == "dx/dt = v\ndv/dt = -9.81 + 0.5 u"
    assert str(parsing.known(["v = -x"], (X, V), ())) == "dx/dt = 0\ndv/dt = -x"
    assert parsing.known([], (X, V), ()) is None


@pytest.mark.parametrize("texts", [["v"], ["w = v"], ["x = v", "x = 1"]], ids=["no =", "no state", "twice"])
def test_what_is_no_known_part_is_refused(texts):
    with pytest.raises(ValueError, match=r"known must be such as 'x = v - 0.5\*x', once for a state of x, v, got "):
        parsing.known(texts, (X, V), ())


def test_signs_are_a_table():
    terms = polynomials((X, V), degree=2)
    table = parsing.signs(["v: x < 0", "x: v*x > 0"], terms, (X, V), ())
    assert table[terms.index(X), 1] == -1
    assert table[terms.index(X * V), 0] == 1
    assert np.count_nonzero(table) == 2
    assert parsing.signs([], terms, (X, V), ()) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x < 0", r"signs must be such as 'v: x\*y < 0', of a state of x, v, got 'x < 0'"),
        ("v: x < 1", r"signs must be such as"),
        ("v: x", r"signs must be such as"),
        ("v: x**5 < 0", r"signs must be of terms of the library, got x\*\*5 in 'v: x\*\*5 < 0'\. Add it with --terms"),
    ],
)
def test_what_is_no_sign_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parsing.signs([text], polynomials((X, V), degree=2), (X, V), ())


@pytest.mark.parametrize(
    ("term", "unit"),
    [
        (sympy.Integer(1), "kg/h"),
        (X, "1/h"),
        (X * V, "1/(h*m)"),
        (X**2, "1/(h*kg)"),
        (V / X, "kg^2/(h*m)"),
        (sympy.sin(X), ""),  # of a number with a unit
        (X * U, ""),  # whose column says none
    ],
)
def test_units_of_coefficients(term, unit):
    assert unit_of(term, X, "t", {"t": "h", "x": "kg", "v": "m"}) == unit


@pytest.mark.parametrize(
    ("own", "unit"),
    [
        ("m/s", "m/s^2"),
        ("kg m^2", "kg*m^2/s"),
        ("1/h", "1/(h*s)"),
        ("kg*m**-2", "kg/(m^2*s)"),
        ("µm", "µm/s"),
        ("1000", "1000/s"),  # of thousands
        ("kg/(m h)", "kg/(m h)/s"),  # of what is not taken apart
        ("log10 cells", "log10 cells/s"),
    ],
)
def test_units_are_taken_apart_where_they_are_products(own, unit):
    assert unit_of(sympy.Integer(1), X, "t", {"t": "s", "x": own}) == unit


def test_trajectories_of_different_lengths_are_filled_up():
    values, lengths = pad([np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [5.0, 6.0]])])
    assert values.tolist() == [[[1, 2], [1, 2]], [[3, 4], [5, 6]]]
    assert lengths == (1, 2)


@pytest.mark.parametrize("trajectories", [[], [np.zeros(2), np.zeros(0)]])
def test_no_trajectories_are_refused(trajectories):
    with pytest.raises(ValueError, match=r"trajectories must be one or more, with samples, got lengths"):
        pad(trajectories)
