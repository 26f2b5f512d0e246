"""Right-hand sides on a periodic interval: one field of the local variables, shared by all grid points."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.dynamics.derivatives.periodic_grid import PeriodicGrid
from jaxkd.typing import Key, Params
from jaxkd.vector_fields.field import Field, Scales, listed

LOCAL = "local"


@dataclasses.dataclass(frozen=True, kw_only=True)
class OnGrid(Field):
    """Field at one grid point, applied to whole intervals of any number of points.

    Spatial derivatives are spectral, so a field learnt on one grid can be solved on another.  Parameters are those of
    the field at one point.

    Source: FNODE (arXiv 2405.11542) and SNODE (arXiv 2503.08059), which learn F(s, s_x, s_xx, ..., u) at every point.
    Deviation: none known to us.
    """

    grid: PeriodicGrid
    at_point: Field
    """Field of the grid's local variables: quantities, their derivatives, inputs."""

    def init(self, key: Key, scales: Scales) -> Params:
        return self.at_point.init(key, scales[LOCAL])

    def slopes(self, params: Params, scales: Scales, variables: Float[Array, " variables"]) -> Float[Array, " states"]:
        points = variables.size // len(self.grid.quantities + self.grid.inputs)
        states, inputs = jnp.split(variables, [points * len(self.grid.quantities)])
        return self.grid.rates(lambda at: self.at_point.slopes(params, scales[LOCAL], at), states, inputs)

    def require_names(self, states: tuple[str, ...], inputs: tuple[str, ...]) -> None:
        if (states, inputs) != self.grid.names(len(states) // len(self.grid.quantities)):
            raise ValueError(
                f"grid must have the names of the data, {listed(states)} and {listed(inputs)}, got "
                f"{', '.join(self.grid.quantities)} and {', '.join(self.grid.inputs)}, each at places that are counted "
                "from 0."
            )
        self.at_point.require_names(*self.grid.local_names())

    def scales(self, variables: Float[Array, "samples variables"], slopes: Float[Array, "samples states"]) -> Scales:
        """Return scales that are the same at all points, and those of the local variables."""
        states, inputs = jnp.split(variables, [slopes.shape[1]], axis=1)
        local = self.grid.local(states, inputs)
        points, quantities = local.shape[1], len(self.grid.quantities)
        rates = jnp.moveaxis(jnp.reshape(slopes, (-1, quantities, points)), 1, 2)
        scales = self.at_point.scales(*(jnp.reshape(side, (-1, side.shape[2])) for side in (local, rates)))
        driven = scales["mean"].size - len(self.grid.inputs)

        def everywhere(values: Array) -> Array:
            return jnp.repeat(values, points)

        whole = {
            name: everywhere(jnp.concatenate([scales[name][:quantities], scales[name][driven:]]))
            for name in ("mean", "deviation")
        }
        return {**whole, "slope": everywhere(scales["slope"]), LOCAL: scales}
