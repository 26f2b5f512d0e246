"""Names of the quantities of a search: as columns, as states of the equations, and on the page."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import cast

import sympy
from jaxtyping import Int
from numpy import ndarray

from jaxkd.data.trajectories.measurements import Measurements
from jaxkd.dynamics import Equations, polynomials
from jaxkd.dynamics.identification import parsing
from jaxkd.dynamics.identification.second_order import velocities
from jaxkd.dynamics.identification.units import unit_of
from jaxkd.dynamics.validation.discovered import derivative


@dataclasses.dataclass(frozen=True, kw_only=True)
class Notation:
    """Symbols of the equations, and how users write and read them.

    Users write the names of columns, and `dx_dt` for the velocity of x in equations of second order.  Where the state
    is the logarithm of a column, the equations are those of `log_x`, and x in a term is exp(log_x): candidate terms are
    the same products of columns in either coordinate.
    """

    time: str
    labels: tuple[str, ...]
    columns: tuple[sympy.Symbol, ...]
    """Symbols of the states' columns."""
    states: tuple[sympy.Symbol, ...]
    """Symbols of the states: their columns, or the logarithms of these."""
    velocities: tuple[sympy.Symbol, ...]
    """Symbols of the states' rates of change; empty if the equations are of first order."""
    inputs: tuple[sympy.Symbol, ...]
    units: Mapping[str, str]
    """Units of the columns, the states and their velocities."""

    @classmethod
    def of(cls, measurements: Measurements, *, order: int) -> "Notation":
        """Return the notation of measurements.

        Raises:
            ValueError: a column with the name of another column's logarithm or velocity.
        """
        columns, inputs = parsing.symbols(measurements.states), parsing.symbols(measurements.inputs)
        states = tuple(
            sympy.Symbol(f"log_{column}", real=True) if str(column) in measurements.logarithms else column
            for column in columns
        )
        speeds = velocities(states) if order == 2 else ()
        names = [
            measurements.time,
            *measurements.inputs,
            *map(str, dict.fromkeys((*columns, *states))),
            *map(str, speeds),
        ]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(
                f"columns must not have the names of logarithms or velocities, got {twice[0]!r}. Rename the column."
            )
        units = dict(measurements.units)
        units |= {str(state): "1" for state, column in zip(states, columns, strict=True) if state != column}
        for state, speed in zip(states, speeds, strict=False):
            if unit := unit_of(sympy.Integer(1), state, measurements.time, units):
                units[str(speed)] = unit
        return cls(
            time=measurements.time,
            labels=measurements.labels,
            columns=columns,
            states=states,
            velocities=speeds,
            inputs=inputs,
            units=units,
        )

    @property
    def order(self) -> int:
        """Order of the derivatives that the equations are of."""
        return 2 if self.velocities else 1

    @property
    def variables(self) -> tuple[sympy.Symbol, ...]:
        """Symbols that terms may contain, in the order of their values: states, velocities, inputs."""
        return self.states + self.velocities + self.inputs

    def library(self, *, degree: int, further: Sequence[str]) -> tuple[sympy.Expr, ...]:
        """Return the candidate terms: products up to a degree, and further ones.

        Raises:
            ValueError: text that is not an expression of the names.
        """
        names = self.columns + self.velocities + self.inputs
        terms = (*polynomials(names, degree=degree), *(parsing.expression(text, names) for text in further))
        return tuple(dict.fromkeys(self._within(term) for term in terms))

    def known(self, texts: Sequence[str]) -> Equations | None:
        """Parse known parts, `x = v`, of the derivative that the equations are of.

        Raises:
            ValueError: text that is not such an equation.
        """
        found = parsing.known(texts, self.columns, self.velocities + self.inputs)
        if found is None:
            return None
        sides = [self._within(side) for side in found.expressions()]
        return Equations.of_sums(sides, self.states, self.velocities + self.inputs)

    def signs(self, texts: Sequence[str], terms: tuple[sympy.Expr, ...]) -> Int[ndarray, "terms states"] | None:
        """Parse signs of coefficients, `x: y < 0`.

        Raises:
            ValueError: text that is not such a constraint, or a term that is not in `terms`.
        """
        columns = tuple(self.display(term) for term in terms)
        return parsing.signs(texts, columns, self.columns, self.velocities + self.inputs)

    def display(self, term: sympy.Expr) -> sympy.Expr:
        """Return a term in the names of columns."""
        pairs = zip(self.states, self.columns, strict=True)
        return cast(sympy.Expr, term.xreplace({state: sympy.log(of) for state, of in pairs if state != of}))

    def unit(self, term: sympy.Expr, state: int) -> str:
        """Return the unit of a term's coefficient in the equation of a state; empty if it cannot be determined."""
        of = (self.velocities or self.states)[state]
        return unit_of(self.display(term), of, self.time, self.units)

    def text(self, equations: Equations, missing: Collection[str]) -> str:
        """Format equations, one per line; those of logarithms also multiplied out.

        Args:
            equations: right-hand sides of the states' derivatives.
            missing: labels of states without an equation.
        """
        shown = dataclasses.replace(equations.rounded(4), terms=tuple(map(self.display, equations.terms)))
        lines, multiplied = [], []
        for label, column, side in zip(self.labels, self.columns, shown.right_hand_sides(), strict=True):
            left = derivative(label, "t", order=self.order)
            lines.append(f"{left}: no equation found" if label in missing else f"{left} = {side}")
            if label != str(column) and label not in missing and side != "0" and self.order == 1:
                multiplied.append(f"d{column}/dt = {column} ({side})")
        return "\n".join([*lines, *multiplied])

    def latex(self, equations: Equations) -> str:
        """Format equations for an `aligned` environment."""
        shown = dataclasses.replace(equations, terms=tuple(map(self.display, equations.terms)))
        named = dict(zip(self.velocities, self._derivatives(order=1), strict=False))
        return shown.latex(left=self._derivatives(order=self.order), names=named)

    def _derivatives(self, *, order: int) -> list[str]:
        dots, power = (r"\dot", "") if order == 1 else (r"\ddot", "^2")
        return [
            rf"{dots}{{{sympy.latex(column)}}}"
            if state == column
            else rf"\frac{{d{power} \log {sympy.latex(column)}}}{{dt{power}}}"
            for state, column in zip(self.states, self.columns, strict=True)
        ]

    def _within(self, term: sympy.Expr) -> sympy.Expr:
        """Return a term in the states."""
        pairs = zip(self.columns, self.states, strict=True)
        return cast(sympy.Expr, term.xreplace({of: sympy.exp(state) for of, state in pairs if state != of}))
