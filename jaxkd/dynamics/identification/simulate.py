"""Simulation of identified equations, in any units: tolerances are relative to each state's deviation.

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
"""Margin on each side of the data's bounding box that a simulation may enter, in widths of the box."""


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
    """Run `solve` on states divided by their deviation, with inputs given at the times.

    Args:
        coefficients: coefficients of the terms in each equation.
        y0: states at the first time.
        times: output times, increasing.
        inputs: values at the times, interpolated by cubics with backward slopes; None if there are none.
        terms: terms of the equations.
        variables: states, then inputs.
        deviation: standard deviation of each state, > 0.
        solver: ODE solver; its `atol` is relative to the deviation.
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
    """Forecast from each sample of coefficients and start, sequentially; inf from where one diverges.

    Args:
        coefficients: coefficients of each sample.
        y0: states of each sample at the first time.
        times: output times, increasing.
        inputs: values at the times.
        terms: terms of the equations.
        variables: states, then inputs.
        deviation: standard deviation of each state, > 0.
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
    """Whether a simulation stays within the data's bounding box, extended by NEAR widths on each side.

    Args:
        equations: equations to simulate.
        start: states at the first time.
        times: output times, increasing.
        inputs: values at the times.
        low: minimum of each state in the data.
        high: maximum of each state in the data.
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
    """Replace the deviation of a constant state by 1, in an array of NumPy or of JAX."""
    return deviation + (deviation == 0)
