"""Simulations of found equations, in any units: their tolerances are shares of each state's deviation.

Coefficients are arguments, so that equations of the same terms compile once.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import sympy
from jaxtyping import Array, Float

from jaxkd.dynamics.identification import library
from jaxkd.dynamics.identification.equations import Equations
from jaxkd.dynamics.solvers.control import control
from jaxkd.dynamics.solvers.solve import Solution, Solver, solve

SOLVER = Solver(rtol=1e-6, atol=1e-6)

NEAR = 1.0
"""Widths of the box that holds the data, to each side of it, that a simulation may leave it by."""


def simulate(
    coefficients: Float[Array, "terms states"],
    y0: Float[Array, " states"],
    times: Float[Array, " times"],
    inputs: Float[Array, "times inputs"] | None = None,
    *,
    terms: tuple[sympy.Expr, ...],
    variables: tuple[sympy.Symbol, ...],
    deviation: Float[Array, " states"],
    solver: Solver = SOLVER,
) -> Solution:
    """As `solve`, of states that are divided by their deviation, with inputs that are known at the times.

    Args:
        coefficients: of the terms in each equation.
        y0: at the first time.
        times: increasing.
        inputs: at the times, and between them by cubics whose slopes look back; None where there are none.
        terms: of the equations.
        variables: states and inputs.
        deviation: of each state, > 0.
        solver: its `atol` is a share of the deviation.
    """
    values = library.values(terms, variables)
    driven = None if inputs is None else control(times, inputs)

    def field(t: Any, z: Array, given: tuple[Any, ...]) -> Array:
        driven, table, deviation = given
        y = z * deviation
        return values(y if driven is None else jnp.concatenate([y, driven.evaluate(t)])) @ table / deviation

    solution = solve(field, y0 / deviation, times, (driven, coefficients, deviation), solver=solver)
    return Solution(states=solution.states * deviation[None], succeeded=solution.succeeded, steps=solution.steps)


@functools.partial(jax.jit, static_argnames=("terms", "variables"))
def forecasts(
    coefficients: Float[Array, "draws terms states"],
    y0: Float[Array, "draws states"],
    times: Float[Array, " times"],
    inputs: Float[Array, "times inputs"] | None = None,
    *,
    terms: tuple[sympy.Expr, ...],
    variables: tuple[sympy.Symbol, ...],
    deviation: Float[Array, " states"],
) -> Float[Array, "draws times states"]:
    """What each draw of the coefficients and of the start forecasts, one after the other; inf from where one diverges.

    Args:
        coefficients: of each draw.
        y0: of each draw, at the first time.
        times: increasing.
        inputs: at the times.
        terms: of the equations.
        variables: states and inputs.
        deviation: of each state, > 0.
    """
    one = functools.partial(simulate, terms=terms, variables=variables, deviation=deviation)
    return jax.lax.map(lambda drawn: one(drawn[0], drawn[1], times, inputs).states, (coefficients, y0))


def stays_near(
    equations: Equations,
    start: Float[Array, " states"],
    times: Float[Array, " times"],
    inputs: Float[Array, "times inputs"] | None = None,
    *,
    low: Float[np.ndarray, " states"],
    high: Float[np.ndarray, " states"],
) -> bool:
    """Whether a simulation stays within the box of the data, with NEAR widths of it to each side.

    Args:
        equations: to simulate.
        start: at the first time.
        times: increasing.
        inputs: at the times.
        low: of the data.
        high: of the data.
    """
    width = positive(high - low)
    (states,) = np.asarray(
        forecasts(
            jnp.asarray(equations.coefficients)[None],
            start[None],
            times,
            inputs,
            terms=equations.terms,
            variables=equations.variables,
            deviation=jnp.asarray(width),
        )
    )
    return bool(np.all((states >= low - NEAR * width) & (states <= high + NEAR * width)))


def positive(deviation: Any) -> Any:
    """1 for a state that does not move: of an array of NumPy's or JAX's, the same."""
    return deviation + (deviation == 0)
