"""Equations y' = f(y, u) that are linear in their coefficients: printing, export and evaluation."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
import sympy
from jaxtyping import Array, Float

from jaxkd.dynamics.identification import library


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Equations:
    """One equation per state: a sum of terms times coefficients.

    Compared and hashed by identity, as comparing arrays does not give a single truth value.

    Example:
        >>> import numpy as np, sympy
        >>> x, y = sympy.symbols("x y")
        >>> table = np.array([[1.5, 0], [0, -3], [-1, 1]])
        >>> print(Equations(states=(x, y), terms=(x, y, x * y), coefficients=table))
        dx/dt = 1.5 x - x y
        dy/dt = -3 y + x y
    """

    states: tuple[sympy.Symbol, ...]
    terms: tuple[sympy.Expr, ...]
    coefficients: np.ndarray
    """[terms, states], in the states' units over those of time and of the terms; 0 for absent terms."""
    inputs: tuple[sympy.Symbol, ...] = ()
    """Controls and parameters that the terms also depend on, in the order in which they are passed."""

    def __post_init__(self) -> None:
        shape = (len(self.terms), len(self.states))
        if np.shape(self.coefficients) != shape:
            raise ValueError(
                f"coefficients must be [terms, states] = {shape}, got {np.shape(self.coefficients)}. Transpose them?"
            )

    @property
    def variables(self) -> tuple[sympy.Symbol, ...]:
        """The states, followed by the inputs."""
        return self.states + self.inputs

    def expressions(self) -> tuple[sympy.Expr, ...]:
        """Right-hand sides as SymPy expressions."""
        return tuple(
            sympy.Add(*(exact(value) * term for value, term in zip(column, self.terms, strict=True) if value))
            for column in np.asarray(self.coefficients).T
        )

    def rounded(self, digits: int) -> "Equations":
        """Return a copy with coefficients of `digits` significant digits."""
        values = [[float(f"{value:.{digits}g}") for value in row] for row in np.asarray(self.coefficients)]
        return dataclasses.replace(self, coefficients=np.reshape(values, np.shape(self.coefficients)))

    def __str__(self) -> str:
        sides = zip(self.states, self.right_hand_sides(), strict=True)
        return "\n".join(f"d{state}/dt = {side}" for state, side in sides)

    def right_hand_sides(self) -> list[str]:
        """Format the right-hand sides as text."""
        return self._sums(_plain, " ")

    def latex(self, *, left: Sequence[str] = (), names: Mapping[sympy.Symbol, str] | None = None) -> str:
        """Format one aligned equation per line, for an `aligned` environment.

        Args:
            left: left-hand sides; empty: a dot over each state.
            names: variables that have another name in LaTeX.
        """
        said = functools.partial(sympy.latex, symbol_names=dict(names or {}))
        left = left or [rf"\dot{{{said(state)}}}" for state in self.states]
        return " \\\\\n".join(f"{one} &= {side}" for one, side in zip(left, self._sums(said, r" \, "), strict=True))

    def python(self, name: str = "vector_field") -> str:
        """Return the source of a Python function of floats that imports only `math`."""
        given = ", ".join(str(variable) for variable in self.variables)
        values = [str(sympy.pycode(one, fully_qualified_modules=True)) for one in self.expressions()]
        return "\n".join(["import math", "", "", f"def {name}({given}):", f"    return [{', '.join(values)}]", ""])

    def vector_field(self) -> Callable[..., Float[Array, " states"]]:
        """Vector field f(t, y, u) in JAX, for `jaxkd.dynamics.solve` and Diffrax.

        u is None if there are no inputs, else the inputs' values, or a function of time that returns them.
        """
        values, coefficients = library.values(self.terms, self.variables), np.asarray(self.coefficients)

        def field(t: Any, y: Float[Array, " states"], u: Any = None) -> Float[Array, " states"]:
            if self.inputs:
                given: Any = u(t) if callable(u) else u
                y = jnp.concatenate([y, jnp.atleast_1d(given)])
            return values(y) @ coefficients

        return field

    @classmethod
    def of(
        cls, expressions: Sequence[sympy.Expr], states: Sequence[sympy.Symbol], inputs: Sequence[sympy.Symbol] = ()
    ) -> "Equations":
        """Split right-hand sides with numeric parameters into terms and coefficients."""
        return cls.of_sums([sympy.expand(one) for one in expressions], states, inputs)

    @classmethod
    def of_sums(
        cls, expressions: Sequence[sympy.Expr], states: Sequence[sympy.Symbol], inputs: Sequence[sympy.Symbol] = ()
    ) -> "Equations":
        """Split right-hand sides that are already sums, without expanding them."""
        parts = [one.as_coefficients_dict() for one in expressions]
        terms = tuple(sorted({term for part in parts for term in part}, key=sympy.default_sort_key))
        table = np.array([[float(part.get(term, 0)) for part in parts] for term in terms])
        return cls(states=tuple(states), terms=terms, coefficients=table, inputs=tuple(inputs))

    def within(self, terms: Sequence[sympy.Expr]) -> "Equations":
        """Express the same equations over other terms, such as a larger library.

        Raises:
            ValueError: `terms` lacks a term of these equations.
        """
        rows = {term: row for term, row in zip(self.terms, np.asarray(self.coefficients), strict=True) if np.any(row)}
        if missing := [str(term) for term in rows if term not in terms]:
            raise ValueError(f"terms must hold those of the equations, which have {', '.join(missing)} besides.")
        nothing = np.zeros(len(self.states))
        return dataclasses.replace(
            self, terms=tuple(terms), coefficients=np.array([rows.get(term, nothing) for term in terms])
        )

    def __add__(self, other: "Equations") -> "Equations":
        """Sum of both right-hand sides, over the union of their terms."""
        terms = self.terms + tuple(term for term in other.terms if term not in self.terms)
        ours, theirs = self.within(terms), other.within(terms)
        return dataclasses.replace(ours, coefficients=np.asarray(ours.coefficients) + np.asarray(theirs.coefficients))

    def _sums(self, written: Callable[[sympy.Expr], str], times: str) -> list[str]:
        columns = np.asarray(self.coefficients).T
        return [_sum([*zip(column, self.terms, strict=True)], written, times) for column in columns]


def exact(value: float) -> sympy.Expr:
    """Convert a float to a SymPy number with all its digits."""
    return sympy.Integer(round(value)) if value == round(value) else sympy.Float(float(value), 17)


def _plain(term: sympy.Expr) -> str:
    return str(term).replace("**", "^").replace("*", " ")


def _sum(parts: Sequence[tuple[float, sympy.Expr]], written: Callable[[sympy.Expr], str], times: str) -> str:
    """Format a sum as in print: no coefficient of 1, no plus before a minus."""
    text = ""
    for value, term in parts:
        if value:
            sign = "-" if value < 0 else "+"
            text += f" {sign} " if text else sign.strip("+")
            size = "" if abs(value) == 1 and term != 1 else f"{abs(float(value)):.12g}"
            word = "" if term == 1 else written(term)
            text += size + (times if size and word else "") + word
    return text or "0"
