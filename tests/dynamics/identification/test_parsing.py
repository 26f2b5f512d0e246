"""Terms, known parts, signs and units, as a person writes them."""

import numpy as np
import pytest
import sympy
from sympy.parsing.sympy_parser import parse_expr

from jaxkd.dynamics import pad, polynomials, systems
from jaxkd.dynamics.identification import parsing
from jaxkd.dynamics.identification.units import unit_of

X, V, U, N, A = sympy.symbols("x v u n a")


def test_expressions_are_sympys():
    assert parsing.expression("x*v + sin(2*x)", (X, V)) == X * V + sympy.sin(2 * X)
    beta = sympy.Symbol("beta")
    assert parsing.expression("beta**2", (beta,)) == beta**2  # a column's name, not the function


@pytest.mark.parametrize(
    "text",
    [
        "1.50*x - x*v/3 + 2",
        "0.10000000000000001*x",
        "-(x + v)**2",
        "x**-2 + v**0.5 + x**(1/2) + 2**-3",
        "1e-3*exp(-x)*tanh(2*pi*v) + E",
        "sqrt(Abs(x)) + abs(v)*sign(x) + Max(0, x, v) + min(x, 1)",
        *map(str, systems.FITZHUGH_NAGUMO.equations.expressions()),
    ],
)
def test_an_expression_is_that_of_sympys_own_parser(text):
    names = {"x": X, "v": V, "w": sympy.Symbol("w")}
    assert sympy.srepr(parsing.expression(text, (*names.values(),))) == sympy.srepr(parse_expr(text, local_dict=names))


def test_a_name_may_be_written_in_two_ways():
    micro = sympy.Symbol("\N{MICRO SIGN}")  # Python reads the Greek letter
    assert parsing.expression("\N{MICRO SIGN}*2", (micro,)) == 2 * micro


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x*", r"terms must be expressions such as x\*y or sin\(x\), got 'x\*': invalid syntax\."),
        ("sin(x", r"terms must be expressions such as x\*y or sin\(x\), got 'sin\(x': '\(' was never closed\."),
        ("x, v", r"terms must be expressions such as x\*y or sin\(x\), got 'x, v': 'x, v' is no arithmetic\."),
        ("x*w", r"terms must be made of x, v, got w in 'x\*w'"),
        ("sine(x)", r"got sine in 'sine\(x\)'\. Did you mean sin\?"),
        ("x^2", r"got 'x\^2': a power is written x\*\*2\."),
        ("x**v", r"exponents must be numbers of at most 20\."),
        ("9**9**9", r"exponents must be numbers of at most 20\."),
        ("(x**20)**20", r"exponents must be numbers of at most 20\."),
        ("((9**20)**20)**20", r"a number in it is too large\."),
        ("((1000001/1000000)**20)**20", r"a number in it is too large\."),
        ("exp(exp(exp(9.5)))", r"a number in it is not finite and real\."),
        ("sqrt(-1)", r"a number in it is not finite and real\."),
        ("1e400*x", r"a number in it is not finite and real\."),
        ("9" * 999, r"a number in it is not finite and real\."),
        ("((((x+v)**16+1)**16+1)**16+1)**16", r"it has more than 10,000 terms when multiplied out\."),
        ("x/(v - v)", r"it divides by 0\."),
        ("0**-1", r"it divides by 0\."),
        ("sin(x, v)", r"sin takes one value, got 2\."),
        ("Max()", r"Max takes at least one value, got 0\."),
        ("max(x, key=v)", r"'max\(x, key=v\)' is no arithmetic\."),
        ("x.diff(x)", r"'x\.diff\(x\)' is no arithmetic\."),
        ("True", r"'True' is no arithmetic\."),
        ("(lambda: x)()", r"is no arithmetic\."),
        ("x" * 1_001, r"terms must have at most 1000 characters, got 1001: 'xxx"),
        ("-" * 990 + "x", r"too deeply nested\."),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_expression_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parsing.expression(text, (X, V))


@pytest.mark.parametrize("parse", ["terms", "known", "signs"])
def test_text_is_never_evaluated(parse, tmp_path):
    path = tmp_path / "made"
    text = f"__import__('pathlib').Path({str(path)!r}).touch() or x"
    with pytest.raises(ValueError, match="is no arithmetic"):
        if parse == "terms":
            parsing.expression(text, (X, V))
        elif parse == "known":
            parsing.known([f"x = {text}"], (X, V), ())
        else:
            parsing.signs([f"x: {text} > 0"], (X,), (X, V), ())
    assert not path.exists()


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
        (2 * X, "1/h"),
        (sympy.sqrt(X), "sqrt(kg)/h"),
        (sympy.sin(X), ""),  # of a number with a unit
        (sympy.sin(U), ""),  # whose column says none
        (X * U, ""),
        (sympy.sin(N), "kg/h"),
        (X * sympy.exp(-2 * N / 3), "1/h"),
        (sympy.sin(A) * X, "1/h"),  # of an angle
        (sympy.cos(2 * A + sympy.pi / 2), "kg/h"),
        (sympy.sin(X / V), ""),
        (sympy.tanh(X / (3 * X)), "kg/h"),
        (sympy.Abs(X) * V, "1/(h*m)"),
        (sympy.sign(U) * X, "1/h"),
        (sympy.Max(0, X), "1/h"),
        (X / (sympy.Abs(X) + 2), "kg/h"),
        (1 / (2 + X**2), "kg^3/h"),
        (1 / (X + V), ""),  # apples and pears
        (2**N, "kg/h"),
        (2**X, ""),
    ],
)
def test_units_of_coefficients(term, unit):
    assert unit_of(term, X, "t", {"t": "h", "x": "kg", "v": "m", "n": "1", "a": "rad"}) == unit


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
