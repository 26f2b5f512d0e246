"""Equations of second order, y'' = f(y, y', u), as systems of first order in y and y'."""

from collections.abc import Sequence

import numpy as np
import sympy
from jaxtyping import Float

from jaxkd.dynamics.identification.equations import Equations


def velocities(states: Sequence[sympy.Symbol]) -> tuple[sympy.Symbol, ...]:
    """Symbols of the states' rates of change: `dx_dt` of x.

    Args:
        states: symbols of the states.
    """
    return tuple(sympy.Symbol(f"d{state}_dt") for state in states)


def first_order(accelerations: Equations) -> Equations:
    """System y' = v, v' = f(y, v, u) of equations whose right-hand sides are those of y''.

    Args:
        accelerations: equations whose first inputs are the velocities, one per state.

    Returns:
        Equations of the states, followed by the velocities.

    Source: the definition.  Deviation: none.

    Example:
        >>> x, v, u = sympy.symbols("x v u")
        >>> print(first_order(Equations.of([u - 2 * x - v], (x,), (v, u))))
        dx/dt = v
        dv/dt = u - v - 2 x
    """
    count = len(accelerations.states)
    speeds, inputs = accelerations.inputs[:count], accelerations.inputs[count:]
    terms = first_order_terms(accelerations.terms, speeds)
    return Equations(
        states=accelerations.states + speeds,
        inputs=inputs,
        terms=terms,
        coefficients=first_order_table(np.asarray(accelerations.coefficients), terms, speeds),
    )


def first_order_terms(terms: Sequence[sympy.Expr], speeds: Sequence[sympy.Symbol]) -> tuple[sympy.Expr, ...]:
    """Terms of the system of first order: those of the accelerations, then the velocities that are not among them."""
    return tuple(dict.fromkeys((*terms, *speeds)))


def first_order_table(
    accelerations: Float[np.ndarray, "*batch terms states"], terms: Sequence[sympy.Expr], speeds: Sequence[sympy.Symbol]
) -> Float[np.ndarray, "*batch all_terms all_states"]:
    """Coefficients of the system of first order.

    Args:
        accelerations: coefficients of the accelerations, for the first of the terms.
        terms: `first_order_terms`.
        speeds: symbols of the velocities, one per state.
    """
    rows, count = accelerations.shape[-2:]
    whole = np.zeros((*accelerations.shape[:-2], len(terms), 2 * count))
    for state, speed in enumerate(speeds):
        whole[..., terms.index(speed), state] = 1.0
    whole[..., :rows, count:] = accelerations
    return whole
