"""Interpretable right-hand sides: sums of terms, optionally with a network for their residual."""

import abc
import dataclasses
import itertools
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxkd.dynamics import Equations
from jaxkd.dynamics.derivatives.trajectories import Trajectories
from jaxkd.dynamics.identification import library, parsing
from jaxkd.typing import Key, Params
from jaxkd.vector_fields.field import Field, Network, Scales
from jaxkd.vector_fields.grid import LOCAL, OnGrid

if TYPE_CHECKING:
    import sympy  # at run time jaxkd.dynamics comes first and names the extra that installs it

SYMBOLIC, RESIDUAL = "symbolic", "residual"


class Symbolic(Field):
    """Field that converts to equations and from equations."""

    @abc.abstractmethod
    def symbols(self) -> "tuple[tuple[sympy.Symbol, ...], tuple[sympy.Symbol, ...]]":
        """Return the symbols of the equations: states, and inputs."""

    @abc.abstractmethod
    def terms(self) -> "tuple[sympy.Expr, ...]":
        """Return the terms that an equation may have, in the order of the coefficients.

        Raises:
            ValueError: a term that is not an expression of the symbols.
        """

    @abc.abstractmethod
    def equations(self, params: Params, scales: Scales) -> Equations:
        """Return the equations, with coefficients in the data's units."""

    @abc.abstractmethod
    def of(self, equations: Equations, scales: Scales) -> Params:
        """Return the parameters of equations: the inverse of `equations`.

        Raises:
            ValueError: equations with a term that is not among `terms`.
        """

    @abc.abstractmethod
    def records(self, measured: Trajectories, smooth: Float[np.ndarray, "trajectories times states"]) -> Trajectories:
        """Return records of the symbols, from which the equations are identified.

        Args:
            measured: records of the data.
            smooth: their states, as an estimator returns them.
        """


@dataclasses.dataclass(frozen=True, kw_only=True)
class Terms(Symbolic):
    """Sum of terms times coefficients; unless `open`, a coefficient of 0 stays 0.

    Coefficients are trained in units in which each term and each slope has size one.
    """

    names: tuple[str, ...]
    """Names of the states, then of the inputs."""
    states: int
    """Number of names that are states."""
    degree: int = 3
    """Maximum degree of the products of variables."""
    further: tuple[str, ...] = ()
    """Additional terms, such as "sin(x)"."""
    open: bool = False
    """Also train coefficients that are 0."""

    def symbols(self) -> "tuple[tuple[sympy.Symbol, ...], tuple[sympy.Symbol, ...]]":
        return self._variables()[: self.states], self._variables()[self.states :]

    def terms(self) -> "tuple[sympy.Expr, ...]":
        further = [parsing.expression(text, self._variables()) for text in self.further]
        return tuple(dict.fromkeys((*library.polynomials(self._variables(), degree=self.degree), *further)))

    def init(self, key: Key, scales: Scales) -> Params:
        """Return coefficients of 0, or small random ones if `open`."""
        size = (len(self.terms()), self.states)
        return {"coefficients": 0.01 * jax.random.normal(key, size, jnp.float64) if self.open else jnp.zeros(size)}

    def slopes(self, params: Params, scales: Scales, variables: Float[Array, " variables"]) -> Float[Array, " states"]:
        values = library.values(self.terms(), self._variables())
        table = params["coefficients"]
        if not self.open:
            table = jnp.where(table == 0, jax.lax.stop_gradient(table), table)
        return scales["slope"] * ((values(variables) / self._sizes(scales)) @ table)

    def equations(self, params: Params, scales: Scales) -> Equations:
        table = params["coefficients"] * scales["slope"][None] / self._sizes(scales)[:, None]
        return Equations(
            states=self._variables()[: self.states],
            inputs=self._variables()[self.states :],
            terms=self.terms(),
            coefficients=np.asarray(table),
        )

    def of(self, equations: Equations, scales: Scales) -> Params:
        table = jnp.asarray(equations.within(self.terms()).coefficients)
        return {"coefficients": table * self._sizes(scales)[:, None] / scales["slope"][None]}

    def records(self, measured: Trajectories, smooth: Float[np.ndarray, "trajectories times states"]) -> Trajectories:
        del smooth
        return measured

    def require_names(self, states: tuple[str, ...], inputs: tuple[str, ...]) -> None:
        if (self.names, self.states) != (states + inputs, len(states)):
            raise ValueError(
                f"names must be those of the data, {', '.join(states + inputs)}, of which {len(states)} are states, "
                f"got {', '.join(self.names)} and {self.states}."
            )
        self.terms()

    def _variables(self) -> "tuple[sympy.Symbol, ...]":
        return parsing.symbols(self.names)

    def _sizes(self, scales: Scales) -> Float[Array, " terms"]:
        """Return the terms' root mean squares at the mean and a standard deviation to each side, in all directions."""
        corners = jnp.asarray(list(itertools.product((-1.0, 0.0, 1.0), repeat=len(self.names))))
        points = scales["mean"][None] + scales["deviation"][None] * corners
        size = jnp.sqrt(jnp.mean(library.values(self.terms(), self._variables())(points) ** 2, axis=0))
        return jnp.where(size > 0, size, 1.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TermsOnGrid(OnGrid, Symbolic):
    """Sum of terms of the local variables of a grid: a partial differential equation."""

    at_point: Terms

    def symbols(self) -> "tuple[tuple[sympy.Symbol, ...], tuple[sympy.Symbol, ...]]":
        return self.at_point.symbols()

    def terms(self) -> "tuple[sympy.Expr, ...]":
        return self.at_point.terms()

    def equations(self, params: Params, scales: Scales) -> Equations:
        return self.at_point.equations(params, scales[LOCAL])

    def of(self, equations: Equations, scales: Scales) -> Params:
        return self.at_point.of(equations, scales[LOCAL])

    def records(self, measured: Trajectories, smooth: Float[np.ndarray, "trajectories times states"]) -> Trajectories:
        return self.grid.at_each_point(measured, jnp.asarray(smooth))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Corrected(Field):
    """Terms, and a network that starts at 0 for what they leave unexplained."""

    symbolic: Symbolic
    residual: Field = Network(start_at_zero=True)
    """Field that starts at 0.  On the same grid if the terms are on one."""

    def init(self, key: Key, scales: Scales) -> Params:
        return {SYMBOLIC: self.symbolic.init(key, scales), RESIDUAL: self.residual.init(key, scales)}

    def require_names(self, states: tuple[str, ...], inputs: tuple[str, ...]) -> None:
        for field in (self.symbolic, self.residual):
            field.require_names(states, inputs)

    def scales(self, variables: Float[Array, "points variables"], slopes: Float[Array, "points states"]) -> Scales:
        return self.symbolic.scales(variables, slopes)

    def slopes(self, params: Params, scales: Scales, variables: Float[Array, " variables"]) -> Float[Array, " states"]:
        parts = ((self.symbolic, SYMBOLIC), (self.residual, RESIDUAL))
        first, second = (field.slopes(params[name], scales, variables) for field, name in parts)
        return first + second
