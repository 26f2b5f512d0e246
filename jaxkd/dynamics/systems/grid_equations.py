"""Equations of the quantities at one point of a periodic grid, as a vector field of the whole interval."""

import dataclasses
from collections.abc import Callable
from typing import Any

from jaxtyping import Array, Float

from jaxkd.dynamics.derivatives.periodic_grid import PeriodicGrid
from jaxkd.dynamics.identification.equations import Equations


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class GridEquations:
    """Equations of the local variables of a grid, for whole intervals."""

    grid: PeriodicGrid
    local: Equations

    def vector_field(self) -> Callable[..., Float[Array, " states"]]:
        """Return f(t, y, u) for whole intervals of any number of points, as `Equations.vector_field` does."""
        field = self.local.vector_field()
        quantities = len(self.grid.quantities)

        def whole(t: Any, y: Float[Array, " states"], u: Any = None) -> Float[Array, " states"]:
            given: Any = u(t) if callable(u) else u
            return self.grid.rates(lambda at: field(t, at[:quantities], at[quantities:]), y, given)

        return whole
