"""Quantities on a periodic interval, whose rates of change depend on local values and spatial derivatives.

The whole interval is one state vector: the first quantity at all grid points, then the second.  A partial differential
equation is thus a vector field like any other, to solve, learn and forecast.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxkd.dynamics.derivatives.spectral import low_pass, spectral_cutoff, spectral_derivative
from jaxkd.dynamics.derivatives.trajectories import Trajectories


@dataclasses.dataclass(frozen=True, kw_only=True)
class PeriodicGrid:
    """Grid of any number of evenly spaced points on a periodic interval.

    Example:
        >>> grid = PeriodicGrid(length=1.0, quantities=("s",), inputs=("u",), orders=(1, 2))
        >>> grid.local_names()
        (('s',), ('s_x', 's_xx', 'u'))
        >>> grid.names(2)
        (('s_0', 's_1'), ('u_0', 'u_1'))
    """

    length: float
    """Period of the interval, > 0."""
    quantities: tuple[str, ...]
    """Names of the quantities, with one equation each."""
    inputs: tuple[str, ...] = ()
    """Names of the inputs, given at the same points."""
    orders: tuple[int, ...] = (1, 2)
    """Orders of the spatial derivatives that rates of change may depend on, each > 0."""

    def __post_init__(self) -> None:
        if not self.length > 0:
            raise ValueError(f"length must be > 0, got {self.length}.")
        if not self.quantities:
            raise ValueError("quantities must be at least one, got none.")
        if min(self.orders, default=1) < 1 or len(set(self.orders)) < len(self.orders):
            raise ValueError(f"orders must be different and at least 1, got {self.orders}.")

    def places(self, points: int) -> Float[np.ndarray, " points"]:
        """Return the positions of the points; the period's end equals its start and is left out."""
        return self.length * np.arange(points) / points

    def names(self, points: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the names of the states and of the inputs of a grid of `points` points."""
        states, inputs = (
            tuple(f"{name}_{place}" for name in of for place in range(points)) for of in (self.quantities, self.inputs)
        )
        return states, inputs

    def local_names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the names of the quantities, and of the other local variables that their rates depend on."""
        slopes = tuple(f"{name}_{'x' * order}" for order in self.orders for name in self.quantities)
        return self.quantities, slopes + self.inputs

    def local(
        self, states: Float[Array, "*samples states"], inputs: Float[Array, "*samples inputs"] | None = None
    ) -> Float[Array, "*samples points variables"]:
        """Return the local variables at each point: quantities, derivatives by `spectral_derivative`, inputs.

        Args:
            states: float64, of whole intervals.
            inputs: inputs of the same intervals; None if the grid has none.

        Raises:
            ValueError: states or inputs without a whole number of points for each name.
        """
        fields = _apart(states, len(self.quantities), "states")
        slopes = [spectral_derivative(fields, orders=(order,), lengths=(self.length,)) for order in self.orders]
        columns = [fields, *slopes]
        if self.inputs:
            columns.append(_apart(inputs, len(self.inputs), "inputs"))
        return jnp.moveaxis(jnp.concatenate(columns, axis=-2), -2, -1)

    def rates(
        self,
        local: Callable[[Float[Array, " variables"]], Float[Array, " quantities"]],
        states: Float[Array, " states"],
        inputs: Float[Array, " inputs"] | None = None,
    ) -> Float[Array, " states"]:
        """Return rates of change of a whole interval, by a function of the local variables at one point."""
        return jnp.reshape(jax.vmap(local)(self.local(states, inputs)).T, states.shape)

    def cutoffs(self, states: Float[Array, "trajectories times states"]) -> Int[Array, " quantities"]:
        """Return each quantity's shortest spatial wave above the noise: `spectral_cutoff` of all samples."""
        fields = jnp.moveaxis(_apart(states, len(self.quantities), "states"), -2, 0)
        return jnp.stack([spectral_cutoff(jnp.reshape(one, (-1, one.shape[-1]))) for one in fields])

    def without_shorter(
        self, states: Float[Array, "trajectories times states"], cutoffs: Int[Array, " quantities"]
    ) -> Float[Array, "trajectories times states"]:
        """Remove waves that are shorter than the cut-offs."""
        fields = jnp.moveaxis(_apart(states, len(self.quantities), "states"), -2, 0)
        kept = [low_pass(one, cutoffs=(cutoff,)) for one, cutoff in zip(fields, cutoffs, strict=True)]
        return jnp.concatenate(kept, axis=-1)

    def at_each_point(self, whole: Trajectories, smooth: Float[Array, "trajectories times states"]) -> Trajectories:
        """Return records of single points, grouped by trajectory.

        Args:
            whole: records of whole intervals; only spatial noise is removed from their measured states.
            smooth: states to differentiate.
        """
        variables = self.local(smooth, whole.inputs)
        records, times, points, _ = variables.shape
        quantities = len(self.quantities)
        kept = self.without_shorter(whole.states, self.cutoffs(whole.states))
        measured = jnp.moveaxis(_apart(kept, quantities, "states"), -2, -1)

        def apart(values: Array) -> Array:
            return jnp.reshape(jnp.moveaxis(values, 2, 1), (records * points, times, -1))

        return Trajectories(
            states=apart(measured),
            times=jnp.repeat(whole.times, points, axis=0),
            inputs=apart(variables[..., quantities:]),
            lengths=np.repeat(whole.lengths, points),
        )


def _apart(values: Any, quantities: int, name: str) -> Float[Array, "*samples quantities points"]:
    if values is None or values.shape[-1] % quantities:
        raise ValueError(
            f"{name} must be a whole number of places for each of {quantities}, got "
            f"{'none' if values is None else values.shape[-1]}."
        )
    return jnp.reshape(values, (*values.shape[:-1], quantities, -1))
