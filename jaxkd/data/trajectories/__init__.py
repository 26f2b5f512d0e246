"""Trajectories: simulated, or measured and read from tables."""

from jaxkd.data.trajectories.grid_sources import SimulatedOnGrid as SimulatedOnGrid
from jaxkd.data.trajectories.sources import MeasuredTrajectories as MeasuredTrajectories
from jaxkd.data.trajectories.sources import SimulatedTrajectories as SimulatedTrajectories
from jaxkd.data.trajectories.sources import TrajectorySource as TrajectorySource
