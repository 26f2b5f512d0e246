"""Known partial differential equations, and their solutions."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.dynamics.derivatives.periodic_grid import PeriodicGrid
from jaxkd.dynamics.float64 import require_float64
from jaxkd.dynamics.identification import parsing
from jaxkd.dynamics.identification.equations import Equations
from jaxkd.dynamics.solvers.control import control
from jaxkd.dynamics.solvers.fixed_step import fixed_step
from jaxkd.dynamics.systems.driven import RandomDrive
from jaxkd.dynamics.systems.grid_equations import GridEquations
from jaxkd.typing import Key

SUBSTEPS = 8
"""RK4 steps per sample interval.  Half as many change solutions by at most 1e-8 of their standard deviation."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomWaves:
    """Smooth random function of position: sums of sines and cosines with normal coefficients, the same on any grid."""

    waves: int = 4
    """Shortest wave, in waves per period, >= 1."""
    deviation: float = 0.3
    """Standard deviation of a coefficient."""

    def __post_init__(self) -> None:
        if self.waves < 1 or not self.deviation > 0:
            raise ValueError(f"waves must be >= 1 and deviation > 0, got {self.waves} and {self.deviation}.")

    def __call__(self, key: Key, phases: Float[Array, " points"], count: int) -> Float[Array, "count points"]:
        """Sample `count` functions at positions given as angles of the period."""
        coefficients = self.deviation * jax.random.normal(key, (count, 2 * self.waves), phases.dtype)
        angles = jnp.arange(1, self.waves + 1)[:, None] * phases[None]
        return coefficients @ jnp.concatenate([jnp.sin(angles), jnp.cos(angles)])


@dataclasses.dataclass(frozen=True, kw_only=True)
class GridSystem:
    """Equation of one quantity on a periodic interval, driven by one input, and how it is sampled.

    The input is u(x, t) = standing * sin(2 pi x / length) + g(t), with a random g for each trajectory.
    """

    name: str
    grid: PeriodicGrid
    right_hand_side: str
    """Rate of change of the quantity, in the grid's local names, such as "0.01*s_xx + u"."""
    initial: RandomWaves
    standing: float
    drive: RandomDrive
    duration: float
    samples: int
    """Number of samples, evenly spaced, both ends included."""
    points: int

    def equations(self) -> GridEquations:
        """Return the equations for whole intervals.

        Raises:
            ValueError: a right-hand side that is not an expression of the local names.
        """
        states, inputs = (parsing.symbols(names) for names in self.grid.local_names())
        side = parsing.expression(self.right_hand_side, (*states, *inputs))
        return GridEquations(grid=self.grid, local=Equations.of([side], states, inputs))

    def times(self) -> Float[Array, " times"]:
        """Return the sample times."""
        return jnp.linspace(0.0, self.duration, self.samples)

    def trajectories(
        self, key: Key, count: int, *, substeps: int = SUBSTEPS
    ) -> tuple[Float[Array, "count times points"], Float[Array, "count times points"]]:
        """Return clean states and inputs at the system's times, between which `control` interpolates the inputs.

        The same key gives the same trajectories on a grid of any number of points.

        Raises:
            TypeError: JAX is not in double precision.
        """
        initial_key, drive_key = jax.random.split(key)
        times, phases = self.times(), 2 * jnp.pi * jnp.arange(self.points) / self.points
        require_float64(times=times)
        initial = self.initial(initial_key, phases, count)
        inputs = self.standing * jnp.sin(phases)[None, None] + self.drive(drive_key, times, count)[:, :, None]
        field = self.equations().vector_field()

        def one(start: Array, inputs: Array) -> Array:
            driven = control(times, inputs)
            return fixed_step(lambda t, y, _: field(t, y, driven.evaluate(t)), start, times, substeps=substeps)

        return jax.vmap(one)(initial, inputs), inputs


DIFFUSION_REACTION = GridSystem(
    name="diffusion and reaction",
    grid=PeriodicGrid(length=1.0, quantities=("s",), inputs=("u",), orders=(1, 2)),
    right_hand_side="0.01*s_xx + 0.01*s**2 + u",
    initial=RandomWaves(),
    standing=0.2,
    drive=RandomDrive(lengthscale=0.2),
    duration=1.0,
    samples=101,
    points=32,
)
