"""Right-hand sides with parameters to learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from jax.test_util import check_grads

from jaxkd.dynamics import Equations, systems
from jaxkd.runtime import configs
from jaxkd.vector_fields import Corrected, Network, Terms
from jaxkd.vector_fields.field import VectorField
from jaxkd.vector_fields.symbolic import RESIDUAL, SYMBOLIC
from tests.tiny_dynamics import double_precision

__all__ = ["double_precision"]

TERMS = Terms(names=("x", "y"), states=2, degree=2, further=("sin(x)",))
DRIVEN = Terms(names=("x", "u"), states=1, degree=2)


def scales(variables=2, states=2, unit=1.0):
    rng = np.random.default_rng(0)
    return {
        "mean": jnp.asarray(unit * rng.normal(size=variables)),
        "deviation": jnp.asarray(unit * rng.uniform(0.5, 2, size=variables)),
        "slope": jnp.asarray(unit * rng.uniform(0.5, 2, size=states)),
    }


def slopes(field, params, scales, points):
    return jax.vmap(lambda point: field.slopes(params, scales, point))(points)


def points(count=5, variables=2, unit=1.0):
    return jnp.asarray(unit * np.random.default_rng(1).normal(size=(count, variables)))


def test_a_network_by_hand():
    network = Network(width=3, depth=2)
    params = network.init(jax.random.key(0), scales())
    scale = {name: np.asarray(values) for name, values in scales().items()}
    layers = jax.tree.map(np.asarray, params["layers"])
    values = (np.asarray(points()) - scale["mean"]) / scale["deviation"]
    for place in range(2):
        values = np.tanh(values @ layers[place]["kernel"] + layers[place]["bias"])
    expected = scale["slope"] * (values @ layers[2]["kernel"] + layers[2]["bias"])
    got = slopes(network, params, scales(), points())
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, expected, atol=1e-12)


def test_a_network_does_not_know_the_unit():
    network = Network(width=4)
    params = network.init(jax.random.key(0), scales())
    got = slopes(network, params, scales(unit=1e3), points(unit=1e3))
    np.testing.assert_allclose(got, 1e3 * slopes(network, params, scales(), points()), rtol=1e-10)


def test_a_network_may_start_at_zero():
    network = Network(width=4, start_at_zero=True)
    assert not np.any(slopes(network, network.init(jax.random.key(0), scales()), scales(), points()))


def test_gradients():
    for field in (Network(width=4), Terms(names=("x", "y"), states=2, degree=2, open=True)):
        params = field.init(jax.random.key(0), scales())
        check_grads(lambda params, at, field=field: slopes(field, params, scales(), at), (params, points()), order=1)


def test_terms_are_the_equations_that_they_were_made_of():
    equations = systems.LOTKA_VOLTERRA.equations
    params = TERMS.of(equations, scales())
    back = TERMS.equations(params, scales())
    np.testing.assert_allclose(back.within(TERMS.terms()).coefficients, equations.within(TERMS.terms()).coefficients)
    field = equations.vector_field()
    expected = jax.vmap(lambda y: field(0.0, y))(points())
    np.testing.assert_allclose(slopes(TERMS, params, scales(), points()), expected, atol=1e-12)


def test_what_is_not_in_the_equations_stays_out():
    params = TERMS.of(systems.LOTKA_VOLTERRA.equations, scales())

    def loss(params, field):
        return jnp.sum(slopes(field, params, scales(), points()) ** 2)

    gradient = jax.grad(loss)(params, TERMS)["coefficients"]
    np.testing.assert_array_equal(gradient != 0, params["coefficients"] != 0)
    opened = jax.grad(loss)(params, Terms(names=("x", "y"), states=2, degree=2, further=("sin(x)",), open=True))
    assert np.all(opened["coefficients"] != 0)


def test_terms_may_hold_inputs():
    x, u = sympy.symbols("x u")
    equations = Equations.of([2 * u - x * u], (x,), (u,))
    params = DRIVEN.of(equations, scales(states=1))
    np.testing.assert_allclose(DRIVEN.slopes(params, scales(states=1), jnp.array([3.0, 5.0])), [2 * 5 - 15])
    assert str(DRIVEN.equations(params, scales(states=1)).rounded(6)) == "dx/dt = 2 u - u x"


def test_corrected_terms_begin_as_they_are():
    field = Corrected(symbolic=TERMS, residual=Network(width=4, start_at_zero=True))
    params = field.init(jax.random.key(0), scales())
    params[SYMBOLIC] = TERMS.of(systems.LOTKA_VOLTERRA.equations, scales())
    alone = slopes(TERMS, params[SYMBOLIC], scales(), points())
    np.testing.assert_array_equal(slopes(field, params, scales(), points()), alone)
    params[RESIDUAL] = Network(width=4).init(jax.random.key(1), scales())
    both = slopes(field, params, scales(), points())
    np.testing.assert_allclose(both - alone, slopes(Network(width=4), params[RESIDUAL], scales(), points()), atol=1e-12)


def test_a_vector_field_takes_inputs_as_values_or_in_time():
    x, u = sympy.symbols("x u")
    params = DRIVEN.of(Equations.of([u - x], (x,), (u,)), scales(states=1))
    learnt = VectorField(states=("x",), inputs=("u",), field=DRIVEN, params=params, scales=scales(states=1))
    np.testing.assert_allclose(learnt(0.0, jnp.array([1.0]), 4.0), [3.0])
    np.testing.assert_allclose(learnt(2.0, jnp.array([1.0]), lambda t: t**2), [3.0])
    assert str(learnt) == "a vector field of x"


def test_fields_are_configs():
    for field in (Network(), TERMS, Corrected(symbolic=TERMS)):
        assert configs.decode(configs.encode(field)) == field
        assert hash(field) == hash(configs.decode(configs.encode(field)))


def test_refusals():
    with pytest.raises(ValueError, match="width must be at least 1, got 0"):
        Network(width=0)
    with pytest.raises(ValueError, match="terms must be made of x, y, got z"):
        Terms(names=("x", "y"), states=2, further=("z",)).terms()
