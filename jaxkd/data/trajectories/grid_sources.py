"""Where the trajectories of a partial differential equation come from: one that is known and simulated."""

import dataclasses
import functools

from jaxkd.data.trajectories.measurements import Record
from jaxkd.data.trajectories.sources import TrajectorySource, simulated
from jaxkd.dynamics.systems.grid_equations import GridEquations
from jaxkd.dynamics.systems.grid_systems import GridSystem
from jaxkd.typing import Split


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimulatedOnGrid(TrajectorySource):
    """Records of a quantity on a periodic interval: noisy ones to learn from, clean ones to test on.

    Of a system with other `points`, and all else the same, the trajectories are the same on another grid.
    """

    system: GridSystem
    count: int = 10
    """Records of each split."""
    noise: float = 0.0
    """Of a sample, white, as a share of the place's standard deviation; the test split has none."""
    seed: int = 0
    """Of the draws.  The seeds of a study do not change the data."""

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
