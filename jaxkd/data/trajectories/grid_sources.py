"""Trajectories of a partial differential equation that is known and simulated."""

import dataclasses
import functools

from jaxkd.data.trajectories.measurements import Record
from jaxkd.data.trajectories.sources import TrajectorySource, simulated
from jaxkd.dynamics.systems.grid_equations import GridEquations
from jaxkd.dynamics.systems.grid_systems import GridSystem
from jaxkd.typing import Split


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimulatedOnGrid(TrajectorySource):
    """Records of a quantity on a periodic interval: noisy for training, clean for testing.

    A system with other `points`, and all else equal, has the same trajectories on another grid.
    """

    system: GridSystem
    """Equation, grid and initial values that are simulated."""
    count: int = 10
    """Number of records per split."""
    noise: float = 0.0
    """Level of white noise, relative to the standard deviation at each position; none in the test split."""
    seed: int = 0
    """Random seed.  The seeds of a study do not change the data."""

    def names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return self.system.grid.names(self.system.points)

    def records(self, split: Split) -> tuple[Record, ...]:
        return _simulated(self, split)

    def places(self) -> tuple[float, ...]:
        return tuple(self.system.grid.places(self.system.points).tolist())

    def equations(self) -> GridEquations:
        return self.system.equations()


@functools.lru_cache(maxsize=32)
def _simulated(source: SimulatedOnGrid, split: Split) -> tuple[Record, ...]:
    system = source.system
    return simulated(
        lambda key: system.trajectories(key, source.count), system.times(), split, noise=source.noise, seed=source.seed
    )
