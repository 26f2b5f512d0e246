"""Initial states on a system's attractor."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.dynamics.float64 import require_float64
from jaxkd.dynamics.identification.equations import Equations
from jaxkd.dynamics.solvers.solve import ACCURATE, solve
from jaxkd.typing import Key


@dataclasses.dataclass(frozen=True, kw_only=True)
class OnAttractor:
    """Initial states at random times of one long trajectory: on the attractor, if there is one.

    For a conservative system they lie on one orbit.  Chaos amplifies rounding, so the same key may give other states of
    the attractor on another machine, or when sampling is compiled into another program.
    """

    start: tuple[float, ...]
    """Initial state of the trajectory."""
    transient: float
    """Initial time span to discard, >= 0, in the unit of time."""
    duration: float
    """Time span to sample from after the transient, > 0."""

    def __post_init__(self) -> None:
        if not self.transient >= 0:
            raise ValueError(f"transient must be >= 0, got {self.transient}.")
        if not self.duration > 0:
            raise ValueError(f"duration must be > 0, got {self.duration}.")

    def __call__(self, key: Key, count: int, equations: Equations) -> Float[Array, "count states"]:
        """Sample `count` initial states; inf where the trajectory diverges.

        Raises:
            TypeError: JAX is not in double precision.
            ValueError: equations of other states than the start's, or with inputs.
        """
        states = len(equations.states)
        if len(self.start) != states or equations.inputs:
            raise ValueError(
                f"start must be of the states of equations without inputs, got {len(self.start)} numbers for {states} "
                f"states and {len(equations.inputs)} inputs. Give one number a state, or take another kind of initial "
                "states."
            )
        start = jnp.asarray(self.start)
        require_float64(start=start)
        last = self.transient + self.duration
        drawn = jax.random.uniform(key, (count,), start.dtype, minval=self.transient, maxval=last)
        order = jnp.argsort(drawn)
        times = jnp.concatenate([jnp.zeros(1), drawn[order]])
        visited = solve(equations.vector_field(), start, times, solver=ACCURATE).states[1:]
        # Independent samples have no order in time.
        return jnp.zeros_like(visited).at[order].set(visited)
