"""Names in which a search is stated and its equations are written."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from jaxkd.data.trajectories.measurements import Measurements
from jaxkd.dynamics import Equations, identify, systems
from jaxkd.study.discovery.notation import Notation
from tests.dynamics.records import clean, times, with_noise

UNITS = {"t": "s", "x": "m", "y": "kg", "u": "N"}


def notation(*, states=("x", "y"), inputs=(), logarithms=(), order=1, units=UNITS):
    given = Measurements(
        time="t", states=states, inputs=inputs, units=units, records=(), warnings=(), logarithms=logarithms
    )
    return Notation.of(given, order=order)


def text(names, *sides):
    variables = names.columns + names.velocities + names.inputs
    known = names.known([f"{column} = {side}" for column, side in zip(names.columns, sides, strict=True)])
    assert known.variables == names.variables
    assert len(variables) == len(names.variables)
    return names.text(known, ()).splitlines()


def test_equations_of_first_order_are_written_as_ever():
    names = notation()
    assert text(names, "-x", "2*x*y") == ["dx/dt = -x", "dy/dt = 2 x y"]
    equations = Equations.of([sympy.Integer(0), -names.states[0]], names.states)
    assert names.text(equations, ("x",)) == "dx/dt: no equation found\ndy/dt = -x"
    assert names.latex(equations) == equations.latex()


def test_second_order_has_velocities_as_variables():
    names = notation(states=("theta",), inputs=("u",), order=2, units={"t": "s", "theta": "rad"})
    assert [str(one) for one in names.variables] == ["theta", "dtheta_dt", "u"]
    assert text(names, "u - sin(theta) - 0.2*dtheta_dt") == ["d2theta/dt2 = -0.2 dtheta_dt + u - sin(theta)"]
    assert names.latex(names.known(["theta = -2*dtheta_dt"])) == (r"\ddot{\theta} &= -2 \, \dot{\theta}")
    assert [names.unit(term, 0) for term in (sympy.sin(names.states[0]), names.velocities[0])] == ["rad/s^2", "1/s"]


def test_terms_of_logarithms_are_products_of_the_columns():
    names = notation(states=("hare", "lynx"), logarithms=("hare", "lynx"), units={"t": "year", "hare": "1000"})
    library = names.library(degree=2, further=("log(hare)",))
    assert [str(names.display(term)) for term in library] == [
        *("1", "hare", "lynx", "hare**2", "hare*lynx", "lynx**2"),
        "log(hare)",
    ]
    assert library[-1] == names.states[0]
    assert text(names, "0.5 - 0.03*lynx", "0.02*hare*lynx") == [
        "d(log hare)/dt = 0.5 - 0.03 lynx",
        "d(log lynx)/dt = 0.02 hare lynx",
        "dhare/dt = hare (0.5 - 0.03 lynx)",
        "dlynx/dt = lynx (0.02 hare lynx)",
    ]
    assert [names.unit(library[term], 0) for term in (0, 1, 2)] == ["1/year", "1/(1000*year)", ""]
    signs = names.signs(["hare: lynx < 0"], library)
    assert np.argwhere(signs).tolist() == [[2, 0]]
    assert r"\frac{d \log \mathrm{" not in names.latex(names.known(["hare = lynx"]))
    assert names.latex(names.known(["hare = lynx"])).startswith(r"\frac{d \log hare}{dt} &= lynx")


@pytest.mark.slow
def test_lotka_volterra_is_linear_in_its_columns_if_found_from_logarithms():
    system = systems.LOTKA_VOLTERRA
    names = notation(states=("x", "y"), logarithms=("x", "y"))
    logarithms = with_noise(np.log(clean(system, 8)), 0.02)
    terms = names.library(degree=2, further=())
    with jax.enable_x64(True):
        found = identify(jnp.asarray(logarithms), jnp.asarray(times(system)), names=names.states, terms=terms)
    table = {str(names.display(term)): row for term, row in zip(terms, found.equations.coefficients, strict=True)}
    assert {name for name, row in table.items() if np.any(row)} == {"1", "x", "y"}
    np.testing.assert_allclose([table["1"], table["x"], table["y"]], [[1.5, -3], [0, 1], [-1, 0]], atol=0.03)


def test_second_order_of_a_logarithm_is_not_multiplied_out():
    names = notation(states=("x",), logarithms=("x",), order=2)
    assert text(names, "1 - dlog_x_dt") == ["d2(log x)/dt2 = 1 - dlog_x_dt"]


@pytest.mark.parametrize(
    "options", [{"states": ("x", "dx_dt"), "order": 2}, {"states": ("x",), "inputs": ("log_x",), "logarithms": ("x",)}]
)
def test_names_that_columns_have_are_refused(options):
    taken = "dx_dt" if options.get("order") == 2 else "log_x"
    with pytest.raises(ValueError) as raised:
        notation(**options)
    assert str(raised.value) == (
        f"columns must not have the names of logarithms or velocities, got {taken!r}. Rename the column."
    )
