"""Right-hand sides to read: sums of terms, and such a sum with a network for what it leaves."""

import dataclasses
import itertools
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxkd.dynamics import Equations, library, written
from jaxkd.models.fields import Field, Network, Scales
from jaxkd.typing import Key, Params

if TYPE_CHECKING:
    import sympy  # at run time jaxkd.dynamics is first, which names the extra that brings it

SYMBOLIC, RESIDUAL = "symbolic", "residual"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Terms(Field):
    """A sum of terms times coefficients, where a coefficient of 0 stays 0.

    Coefficients are trained in units in which each term and each slope is of size one.
    """

    names: tuple[str, ...]
    """Of the states, and after them of the inputs."""
    states: int
    """How many of the names are states."""
    degree: int = 3
    """Of the products of all of them."""
    further: tuple[str, ...] = ()
    """Terms besides, such as "sin(x)"."""
    open: bool = False
    """Train coefficients that are 0 too."""

    def variables(self) -> "tuple[sympy.Symbol, ...]":
        """The names as symbols."""
        return written.symbols(self.names)

    def terms(self) -> "tuple[sympy.Expr, ...]":
        """In the order of the coefficients.

        Raises:
            ValueError: a further term that is no expression of the names.
        """
        further = [written.expression(text, self.variables()) for text in self.further]
        return tuple(dict.fromkeys((*library.polynomials(self.variables(), degree=self.degree), *further)))

    def init(self, key: Key, scales: Scales) -> Params:
        """No term at all, or where all are trained all of them, small."""
        size = (len(self.terms()), self.states)
        return {"coefficients": 0.01 * jax.random.normal(key, size, jnp.float64) if self.open else jnp.zeros(size)}

    def slopes(self, params: Params, scales: Scales, variables: Float[Array, " variables"]) -> Float[Array, " states"]:
        values = library.values(self.terms(), self.variables())
        table = params["coefficients"]
        if not self.open:
            table = jnp.where(table == 0, jax.lax.stop_gradient(table), table)
        return scales["slope"] * ((values(variables) / self._sizes(scales)) @ table)

    def equations(self, params: Params, scales: Scales) -> Equations:
        """With coefficients in the data's units."""
        table = params["coefficients"] * scales["slope"][None] / self._sizes(scales)[:, None]
        return Equations(
            states=self.variables()[: self.states],
            inputs=self.variables()[self.states :],
            terms=self.terms(),
            coefficients=np.asarray(table),
        )

    def of(self, equations: Equations, scales: Scales) -> Params:
        """The inverse of `equations`.

        Raises:
            ValueError: equations with a term that is not among these.
        """
        table = jnp.asarray(equations.within(self.terms()).coefficients)
        return {"coefficients": table * self._sizes(scales)[:, None] / scales["slope"][None]}

    def _sizes(self, scales: Scales) -> Float[Array, " terms"]:
        """Root mean squares at the middle of the data and a deviation to each side of it, in every direction."""
        corners = jnp.asarray(list(itertools.product((-1.0, 0.0, 1.0), repeat=len(self.names))))
        points = scales["mean"][None] + scales["deviation"][None] * corners
        size = jnp.sqrt(jnp.mean(library.values(self.terms(), self.variables())(points) ** 2, axis=0))
        return jnp.where(size > 0, size, 1.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Corrected(Field):
    """Terms, and a network that begins at 0 for what they leave unexplained."""

    symbolic: Terms
    residual: Network = Network(start_at_zero=True)

    def init(self, key: Key, scales: Scales) -> Params:
        return {SYMBOLIC: self.symbolic.init(key, scales), RESIDUAL: self.residual.init(key, scales)}

    def slopes(self, params: Params, scales: Scales, variables: Float[Array, " variables"]) -> Float[Array, " states"]:
        parts = ((self.symbolic, SYMBOLIC), (self.residual, RESIDUAL))
        first, second = (field.slopes(params[name], scales, variables) for field, name in parts)
        return first + second
