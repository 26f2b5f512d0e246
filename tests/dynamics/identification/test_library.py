"""Candidate terms and their values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from jax.test_util import check_grads

from jaxkd.dynamics import exponentials, polynomials, rationals, trigonometric, values

X, Y, U = sympy.symbols("x y u")
ALL = (
    *polynomials((X, Y), degree=3),
    *trigonometric((X,), frequencies=(0.5,)),
    *exponentials((Y,)),
    *rationals((X, Y), half=0.5, power=2),
    sympy.Max(X, Y) * U,
)
POINTS = np.random.default_rng(0).standard_normal((3, 7, 3))


def test_hand_values():
    assert polynomials((X, Y), degree=2) == (1, X, Y, X**2, X * Y, Y**2)
    assert trigonometric((X,)) == (sympy.sin(X), sympy.cos(X))
    assert exponentials((X,)) == (sympy.exp(X), sympy.exp(-X))
    assert rationals((X,), half=2) == (X / (2 + sympy.Abs(X)),)
    got = values((sympy.Integer(1), X * Y), (X, Y))(jnp.array([[2.0, 3.0], [4.0, 5.0]]))
    np.testing.assert_array_equal(got, [[1, 6], [1, 20]])


@pytest.mark.parametrize("variables", [1, 2, 3, 5])
@pytest.mark.parametrize("degree", [0, 1, 3])
def test_there_are_as_many_polynomials_as_there_must_be(variables, degree):
    terms = polynomials(sympy.symbols(f"x:{variables}"), degree=degree)
    assert len(set(terms)) == len(terms) == sympy.binomial(variables + degree, degree)


def test_values_equal_float64_numpy():
    x, y, u = np.moveaxis(POINTS, -1, 0)
    want = [x**0, x, y, x**2, x * y, y**2, x**3, x**2 * y, x * y**2, y**3]
    want += [np.sin(x / 2), np.cos(x / 2), np.exp(y), np.exp(-y)]
    want += [x**2 / (0.25 + x**2), y**2 / (0.25 + y**2), np.maximum(x, y) * u]
    got = values(ALL, (X, Y, U))(jnp.asarray(POINTS))
    np.testing.assert_allclose(got, np.stack(want, axis=-1), rtol=1e-12)
    assert got.dtype == jnp.float64


def test_values_keep_single_precision():
    assert values(ALL, (X, Y, U))(jnp.asarray(POINTS, jnp.float32)).dtype == jnp.float32


def test_rationals_have_no_pole():
    got = values(rationals((X,), half=1e-3, power=3), (X,))(jnp.array([[-1e-3], [0.0], [-1e3]]))
    np.testing.assert_allclose(got[:, 0], [-0.5, 0, -1], atol=1e-9)


def test_gradient():
    check_grads(jax.jit(values(ALL, (X, Y, U))), (jnp.asarray(POINTS),), order=1, rtol=1e-5)


def test_transforms_change_nothing():
    of = values(ALL, (X, Y, U))
    alone = jnp.stack([of(jnp.asarray(one)) for one in POINTS])
    np.testing.assert_allclose(jax.jit(jax.vmap(of))(jnp.asarray(POINTS)), alone, rtol=1e-12)


def test_what_is_no_library_is_refused():
    with pytest.raises(ValueError, match=r"terms must be made of x, y, got u\*x, which has u"):
        values((X, U * X), (X, Y))
    with pytest.raises(ValueError, match=r"terms must be at least one and differ, got 2 with x twice"):
        values((X, X), (X,))
    with pytest.raises(ValueError, match=r"degree must be >= 0, got -1"):
        polynomials((X,), degree=-1)
    with pytest.raises(ValueError, match=r"half must be > 0 and power >= 1, got 0 and 1"):
        rationals((X,), half=0)
