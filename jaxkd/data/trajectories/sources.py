"""Sources of the trajectories that a vector field is learnt from: files, or a simulated system."""

import abc
import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.data.trajectories import measurements
from jaxkd.data.trajectories.measurements import SHORTEST, Record, by_trajectory
from jaxkd.dynamics import Equations, pad, systems
from jaxkd.dynamics.derivatives.trajectories import Trajectories, trajectories
from jaxkd.dynamics.identification import parsing
from jaxkd.dynamics.systems.autonomous import Initial, System
from jaxkd.dynamics.systems.driven import DrivenSystem, RandomDrive
from jaxkd.dynamics.systems.grid_equations import GridEquations
from jaxkd.runtime.packages import file_sha256
from jaxkd.typing import Key, Split

if TYPE_CHECKING:
    import sympy  # at run time jaxkd.dynamics comes first, which names the extra to install

INPUT = "u"
"""Name of a simulated system's input."""

SPLITS: tuple[Split, ...] = ("train", "validation", "test")

HELD_OUT = 5
"""Inverse share of the test split, and of the validation split; a single record is divided in time."""


def arrays(
    records: Sequence[Record], states: "tuple[sympy.Symbol, ...]", inputs: "tuple[sympy.Symbol, ...]"
) -> Trajectories:
    """Stack records into arrays of one shape, with times from 0.

    Args:
        records: at least one record.
        states: names of the states.
        inputs: names of the inputs, possibly none.
    """
    values, lengths = pad([record.states for record in records])
    times, _ = pad([record.times - record.times[0] for record in records])
    driven = pad([record.inputs for record in records])[0] if inputs else None
    return trajectories(values, times, driven, lengths, names=states, input_names=inputs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrajectorySource(abc.ABC):
    """Source of records of the same states and inputs: a frozen description, read on demand."""

    @abc.abstractmethod
    def names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the names of states and inputs."""

    @abc.abstractmethod
    def records(self, split: Split) -> tuple[Record, ...]:
        """Return the records of one split, in a fixed order."""

    def places(self) -> tuple[float, ...]:
        """Return the positions, if the states are quantities on a grid.  Default: none."""
        return ()

    def equations(self) -> Equations | GridEquations | None:
        """Return the true equations, if known, to measure errors against, not to learn from.  Default: unknown."""
        return None

    def trajectories(self, split: Split) -> Trajectories:
        """Return the records of a split in arrays of one shape.

        Raises:
            TypeError: JAX is not in double precision.
        """
        return _trajectories(self, split)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasuredTrajectories(TrajectorySource):
    """Records in files, as `jaxkd.data.trajectories.measurements` reads them.

    In file order, the last fifth of the trajectories (at least one) is the test split, and as many before them the
    validation split; a single one with gaps is divided at them.  Fewer than three records are each divided in time.
    """

    paths: tuple[str, ...]
    """Paths of the files of measurements."""
    time: str | None = None
    """Column of the time; None: the one named so, or the first."""
    states: tuple[str, ...] = ()
    """Columns of the states; empty: all others."""
    inputs: tuple[str, ...] = ()
    """Columns of the known inputs."""
    trajectory: str | None = None
    """Column that names the trajectory of each row."""

    def names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        found = _measured(self)
        return found.states, found.inputs

    def records(self, split: Split) -> tuple[Record, ...]:
        found = _measured(self).records
        groups = by_trajectory(found)
        if len(groups) < len(SPLITS):
            groups = [[record] for record in found]
        if len(groups) < len(SPLITS):
            return tuple(_part(record, split) for record in found)
        held = max(1, len(groups) // HELD_OUT)
        parts = {"train": groups[: -2 * held], "validation": groups[-2 * held : -held], "test": groups[-held:]}
        return tuple(itertools.chain(*parts[split]))

    def input_hashes(self, split: Split) -> dict[str, str]:
        """Return the hash of all files: their records are divided into the splits."""
        del split
        return {"paths": " ".join(file_sha256(path) for path in self.paths)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimulatedTrajectories(TrajectorySource):
    """Records of a system with known equations: noisy for training, clean for testing."""

    states: tuple[str, ...]
    """Names of the states."""
    right_hand_sides: tuple[str, ...]
    """Right-hand sides, one per state, such as "1.5*x - x*y"."""
    initial: Initial
    """Initial states."""
    duration: float
    """Time from the first to the last sample of a record, in the unit of the equations."""
    samples: int
    """Number of samples per record, evenly spaced, both ends included."""
    count: int = 16
    """Number of records per split."""
    noise: float = 0.0
    """Level of white noise, relative to each state's standard deviation; none in the test split."""
    seed: int = 0
    """Random seed of initial states, noise and drive.  The seeds of a study do not change the data."""
    drive: RandomDrive | None = None
    """Drive of the input u, which right-hand sides may then contain."""

    @classmethod
    def of(
        cls, system: System | DrivenSystem, *, noise: float = 0.0, count: int = 16, every: int = 1, seed: int = 0
    ) -> "SimulatedTrajectories":
        """Create the source for a system of `jaxkd.dynamics.systems.autonomous` or `jaxkd.dynamics.systems.driven`.

        Args:
            system: equations, initial states and sampling.
            noise: level of noise, as in the class.
            count: number of records per split.
            every: stride of the samples to keep, the last one included.
            seed: random seed.

        Raises:
            ValueError: a record that `every` does not divide.
        """
        drive = None
        if isinstance(system, DrivenSystem):
            system, drive = system.system, system.drive
        if every < 1 or (system.samples - 1) % every:
            raise ValueError(f"every must divide the {system.samples - 1} steps of a record, got {every}.")
        equations = system.equations
        return cls(
            states=tuple(map(str, equations.states)),
            right_hand_sides=tuple(map(str, equations.expressions())),
            initial=system.initial,
            duration=system.duration,
            samples=(system.samples - 1) // every + 1,
            count=count,
            noise=noise,
            seed=seed,
            drive=drive,
        )

    def names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return self.states, () if self.drive is None else (INPUT,)

    def equations(self) -> Equations:
        states, inputs = (parsing.symbols(names) for names in self.names())
        sides = [parsing.expression(text, (*states, *inputs)) for text in self.right_hand_sides]
        return Equations.of(sides, states, inputs)

    def records(self, split: Split) -> tuple[Record, ...]:
        return _simulated(self, split)


@functools.lru_cache(maxsize=32)
def _trajectories(source: TrajectorySource, split: Split) -> Trajectories:
    states, inputs = (parsing.symbols(names) for names in source.names())
    return arrays(source.records(split), states, inputs)


@functools.lru_cache(maxsize=8)
def _measured(source: MeasuredTrajectories) -> measurements.Measurements:
    return measurements.read(
        [Path(path) for path in source.paths],
        time=source.time,
        states=source.states,
        inputs=source.inputs,
        trajectory=source.trajectory,
    )


def _part(record: Record, split: Split) -> Record:
    """Return a split's part of a record: the beginning, or one of the last two parts."""
    samples = record.times.size
    if samples < HELD_OUT * SHORTEST:
        raise ValueError(
            f"paths must hold three records, or records of at least {HELD_OUT * SHORTEST} samples that can be divided, "
            f"got {samples} in {record.source}. Measure longer, or more often."
        )
    first, second = (samples * part // HELD_OUT for part in (HELD_OUT - 2, HELD_OUT - 1))
    kept = {"train": slice(first), "validation": slice(first, second), "test": slice(second, None)}[split]
    values = {name: getattr(record, name)[kept] for name in ("times", "states", "inputs")}
    return dataclasses.replace(record, source=f"{record.source}, {split}", **values)


@functools.lru_cache(maxsize=32)
def _simulated(source: SimulatedTrajectories, split: Split) -> tuple[Record, ...]:
    system = System(
        name="simulated",
        equations=source.equations(),
        initial=source.initial,
        duration=source.duration,
        samples=source.samples,
    )

    def draw(key: Key) -> tuple[Array, Array]:
        if source.drive is not None:
            return DrivenSystem(system=system, drive=source.drive).trajectories(key, source.count)
        states = system.trajectories(key, source.count)
        return states, jnp.zeros((*states.shape[:2], 0))

    return simulated(draw, system.times(), split, noise=source.noise, seed=source.seed)


def simulated(
    draw: Callable[[Key], tuple[Float[Array, "records times states"], Float[Array, "records times inputs"]]],
    times: Float[Array, " times"],
    split: Split,
    *,
    noise: float,
    seed: int,
) -> tuple[Record, ...]:
    """Return the records of one split, with noise except for the test split.

    Args:
        draw: function from a key to clean states and inputs.
        times: sample times.
        split: split, with its own random key.
        noise: level of white noise, relative to each state's standard deviation.
        seed: random seed.
    """
    states_key, noise_key = jax.random.split(jax.random.fold_in(jax.random.key(seed), SPLITS.index(split)))
    # Compiled, since a system takes minutes one operation at a time.
    states, inputs = jax.jit(draw)(states_key)
    if split != "test":
        states = systems.with_noise(states, noise_key, level=noise)
    at = jax.device_get(times)
    return tuple(
        Record(source=f"trajectory {number}", times=at, states=one, inputs=driving)
        for number, (one, driving) in enumerate(zip(*jax.device_get((states, inputs)), strict=True))
    )
