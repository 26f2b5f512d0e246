"""Networks that can be read."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from jax.test_util import check_grads

from jaxkd.dynamics import EQL, SymNet
from jaxkd.dynamics.symbolic import networks

X, Y, U = NAMES = sympy.symbols("x y u")
POINTS = np.random.default_rng(0).standard_normal((3, 5, 3))
ALL_UNITS = tuple(value for value in vars(networks).values() if isinstance(value, sympy.Lambda))
every_network = pytest.mark.parametrize(
    "network",
    [SymNet(), EQL(copies=1), EQL(units=ALL_UNITS, layers=1, copies=1)],
    ids=["symnet", "eql", "all units"],
)


values = jax.jit(lambda network, params, points: network.values(params, points), static_argnums=0)


@functools.cache
def drawn(network, variables=3, states=2):
    """Its first weights, as NumPy arrays."""
    init = jax.jit(lambda key: network.init(key, variables, states))
    return jax.tree.map(np.asarray, init(jax.random.key(0)))


def test_hand_values():
    """x (1 + 2y) + 3x of two factors, and (x + y)² - sin(x) of two units."""
    factors = {"weights": np.array([[[1.0, 0.0], [0.0, 2.0]]]), "biases": np.array([[0.0, 1.0]])}
    output = {"weights": np.array([[[3.0, 0.0, 1.0]]]), "biases": np.zeros((1, 1))}
    params, point = {"0": factors, "output": output}, np.array([2.0, -1.0])
    assert values(SymNet(products=1), params, point) == 4
    assert str(SymNet(products=1).equations(params, [X], [Y])) == "dx/dt = 4 x + 2 x y"

    network = EQL(units=(networks.SQUARE, networks.SINE), layers=1, copies=1)
    layer = {"weights": np.array([[[1.0, 1.0], [1.0, 0.0]]]), "biases": np.zeros((1, 2))}
    params = {"0": layer, "output": {"weights": np.array([[[1.0, -1.0]]]), "biases": np.zeros((1, 1))}}
    np.testing.assert_allclose(values(network, params, point), [1 - np.sin(2)], rtol=1e-15)
    assert str(network.equations(params, [X], [Y])) == "dx/dt = x^2 + y^2 + 2 x y - sin(x)"


@every_network
def test_expressions_and_equations_are_what_the_network_computes(network):
    params = drawn(network)
    got = np.asarray(values(network, params, POINTS))
    assert got.shape == (3, 5, 2)
    written = sympy.lambdify(NAMES, network.expressions(params, NAMES), modules="numpy")
    np.testing.assert_allclose(np.stack(written(*np.moveaxis(POINTS, -1, 0)), -1), got, rtol=1e-10, atol=1e-10)
    field = jax.jit(jax.vmap(network.equations(params, (X, Y), (U,)).vector_field(), in_axes=(None, 0, 0)))
    flat = POINTS.reshape(-1, 3)
    np.testing.assert_allclose(field(0.0, flat[:, :2], flat[:, 2:]), got.reshape(-1, 2), rtol=1e-10, atol=1e-10)


@every_network
def test_other_units_are_other_weights(network):
    params, scales, slopes = drawn(network), np.array([10.0, 0.3, 2.0]), np.array([5.0, 0.01])
    other = jax.jit(network.rescaled)(params, scales, slopes)
    want = np.asarray(values(network, params, POINTS)) * slopes
    np.testing.assert_allclose(values(network, other, POINTS * scales), want, rtol=1e-12)


def test_products_make_polynomials_of_their_degree():
    for products in (1, 2, 3):
        network = SymNet(products=products)
        (side,) = network.expressions(drawn(network, 2, 1), (X, Y))
        assert sympy.Poly(side, X, Y).total_degree() == 2**products


def test_equal_the_definitions_in_numpy():
    network = SymNet()
    params, found = drawn(network), np.asarray(values(network, drawn(network), POINTS))
    for state, point in ((0, (0, 0)), (1, (2, 3))):
        hidden = POINTS[point]
        for number in ("0", "1"):
            first, second = params[number]["weights"][state] @ hidden + params[number]["biases"][state]
            hidden = np.append(hidden, first * second)
        want = params["output"]["weights"][state, 0] @ hidden + params["output"]["biases"][state, 0]
        np.testing.assert_allclose(found[point][state], want, rtol=1e-13)

    network = EQL(copies=1)
    params, found = drawn(network), np.asarray(values(network, drawn(network), POINTS))
    for state, point in ((0, (0, 0)), (1, (2, 3))):
        hidden = POINTS[point]
        for number in ("0", "1"):
            layer = params[number]
            same, squared, first, second = layer["weights"][state] @ hidden + layer["biases"][state]
            hidden = np.array([same, squared**2, first * second])
        want = params["output"]["weights"][state] @ hidden + params["output"]["biases"][state]
        np.testing.assert_allclose(found[point][state], want, rtol=1e-13)


@every_network
def test_gradient(network):
    params = drawn(network)
    check_grads(lambda *given: values(network, *given), (params, POINTS[0]), order=1, modes=("rev",), rtol=1e-5)
    gradient = jax.jit(jax.grad(lambda params: jnp.sum(network.values(params, jnp.asarray(POINTS)))))(params)
    assert all(np.all(np.asarray(leaf) != 0) for leaf in jax.tree.leaves(gradient))


@every_network
def test_transforms_change_nothing(network):
    params = drawn(network)
    several = jax.tree.map(lambda leaf: np.stack([leaf, 1.5 * leaf[::-1]]), params)
    mapped = jax.jit(jax.vmap(network.values, in_axes=(0, None)))(several, POINTS)
    for index in range(2):
        alone = values(network, jax.tree.map(lambda leaf, index=index: leaf[index], several), POINTS)
        np.testing.assert_allclose(mapped[index], alone, rtol=1e-10, atol=1e-12)
    eager = network.values(jax.tree.map(jnp.asarray, params), jnp.asarray(POINTS))
    np.testing.assert_allclose(eager, mapped[0], rtol=1e-10, atol=1e-12)


def test_guarded_units_are_finite_with_their_slopes():
    network = EQL(units=ALL_UNITS, layers=1, copies=1)
    points = jnp.asarray(1e4 * POINTS)
    compiled = jax.jit(jax.value_and_grad(lambda params: jnp.sum(network.values(params, points))))
    for size in (0.0, 3.0):
        filled = jax.tree.map(lambda leaf, size=size: np.full_like(leaf, size), drawn(network))
        value, gradient = compiled(filled)
        assert all(np.all(np.isfinite(np.asarray(leaf))) for leaf in (value, *jax.tree.leaves(gradient)))


def test_a_unit_of_your_own():
    a = sympy.Symbol("a")
    network = EQL(units=(sympy.Lambda(a, sympy.tanh(a)),), layers=1, copies=1)
    params = drawn(network, 1, 1)
    (side,) = network.expressions(params, (X,))
    np.testing.assert_allclose(values(network, params, np.array([0.7])), [float(side.subs(X, 0.7))], rtol=1e-13)


def test_what_is_no_network_is_refused():
    with pytest.raises(ValueError, match=r"products must be >= 1, got 0"):
        SymNet(products=0)
    with pytest.raises(ValueError, match=r"units, layers and copies must be one or more, got 0, 2 and 2"):
        EQL(units=())
    with pytest.raises(ValueError, match=r"got 3, 0 and 2"):
        EQL(layers=0)
    with pytest.raises(ValueError, match=r"start must be > 0, got 0.* stationary"):
        SymNet(start=0.0)
