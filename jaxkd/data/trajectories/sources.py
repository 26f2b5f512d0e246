"""Where the trajectories come from that a vector field is learnt from: files, or a system that is simulated."""

import abc
import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.data.trajectories import measurements
from jaxkd.data.trajectories.measurements import SHORTEST, Record
from jaxkd.dynamics import Equations, pad, systems
from jaxkd.dynamics.derivatives.trajectories import Trajectories, trajectories
from jaxkd.dynamics.identification import parsing
from jaxkd.dynamics.systems.autonomous import Initial, System
from jaxkd.dynamics.systems.driven import DrivenSystem, RandomDrive
from jaxkd.dynamics.systems.grid_equations import GridEquations
from jaxkd.typing import Key, Split

if TYPE_CHECKING:
    import sympy  # at run time jaxkd.dynamics is first, which names the extra that brings it

INPUT = "u"
"""Name of what drives a simulated system."""

SPLITS: tuple[Split, ...] = ("train", "validation", "test")

HELD_OUT = 5
"""One of so many records is a test's, and one a validation's; of a single record, such parts of its time."""


def arrays(
    records: Sequence[Record], states: "tuple[sympy.Symbol, ...]", inputs: "tuple[sympy.Symbol, ...]"
) -> Trajectories:
    """Records as arrays of one shape, whose times begin at 0.

    Args:
        records: at least one.
        states: names of the states.
        inputs: names of the inputs, none where there are none.
    """
    values, lengths = pad([record.states for record in records])
    times, _ = pad([record.times - record.times[0] for record in records])
    driven = pad([record.inputs for record in records])[0] if inputs else None
    return trajectories(values, times, driven, lengths, names=states, input_names=inputs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrajectorySource(abc.ABC):
    """Records of the same states and inputs: a frozen description, read when asked."""

    @abc.abstractmethod
    def names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Of the states, and of the inputs."""

    @abc.abstractmethod
    def records(self, split: Split) -> tuple[Record, ...]:
        """Of one split, in an order that never changes."""

    def places(self) -> tuple[float, ...]:
        """Where the states are quantities at places: those places.  Default: none."""
        return ()

    def equations(self) -> Equations | GridEquations | None:
        """What is true, where that is known.  Nothing is learnt from it: errors are taken to it.  Default: unknown."""
        return None

    def trajectories(self, split: Split) -> Trajectories:
        """The records of a split as arrays of one shape.

        Raises:
            TypeError: JAX is not in double precision.
        """
        return _trajectories(self, split)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasuredTrajectories(TrajectorySource):
    """Records in files, as `jaxkd.data.trajectories.measurements` reads them.

    In the order of the files, the last of five records (at least one) are the test's, as many before them the
    validation's.  Of fewer than three records each is divided in time.
    """

    paths: tuple[str, ...]
    time: str | None = None
    """A column; None: the one that is called so, or the first."""
    states: tuple[str, ...] = ()
    """Columns; none given: all but the others."""
    inputs: tuple[str, ...] = ()
    """Columns of what drives the system and is known."""
    trajectory: str | None = None
    """The column that tells the trajectories of a file apart."""

    def names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        found = _measured(self)
        return found.states, found.inputs

    def records(self, split: Split) -> tuple[Record, ...]:
        found = _measured(self).records
        if len(found) < len(SPLITS):
            return tuple(_part(record, split) for record in found)
        held = max(1, len(found) // HELD_OUT)
        return {"train": found[: -2 * held], "validation": found[-2 * held : -held], "test": found[-held:]}[split]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimulatedTrajectories(TrajectorySource):
    """Records of a system whose equations are known: noisy ones to learn from, clean ones to test on."""

    states: tuple[str, ...]
    right_hand_sides: tuple[str, ...]
    """Of dx/dt = ..., one a state, such as "1.5*x - x*y"."""
    initial: Initial
    """Where trajectories begin."""
    duration: float
    samples: int
    """Of a record, evenly spaced, both ends included."""
    count: int = 16
    """Records of each split."""
    noise: float = 0.0
    """Of a sample, white, as a share of the state's standard deviation; the test split has none."""
    seed: int = 0
    """Of the initial states, of the noise and of the drive.  The seeds of a study do not change the data."""
    drive: RandomDrive | None = None
    """Of the input u, which the right-hand sides then may hold."""

    @classmethod
    def of(
        cls, system: System | DrivenSystem, *, noise: float = 0.0, count: int = 16, every: int = 1, seed: int = 0
    ) -> "SimulatedTrajectories":
        """Records of a system of `jaxkd.dynamics.systems.autonomous` or `jaxkd.dynamics.systems.driven`.

        Args:
            system: its equations, where it begins and how it is measured.
            noise: as of the class, like the rest.
            count: of records.
            every: keep one sample of so many; the last one is kept where they divide the record.
            seed: of the draws.

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
    """The beginning of a record, or one of the last two parts of it."""
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
    """Records of one split, with noise unless it is the test's.

    Args:
        draw: clean states and inputs.
        times: of them all.
        split: has draws of its own.
        noise: white, as a share of each state's standard deviation.
        seed: of the draws.
    """
    states_key, noise_key = jax.random.split(jax.random.fold_in(jax.random.key(seed), SPLITS.index(split)))
    # Compiled, since what a system does one operation at a time takes minutes.
    states, inputs = jax.jit(draw)(states_key)
    if split != "test":
        states = systems.with_noise(states, noise_key, level=noise)
    at = jax.device_get(times)
    return tuple(
        Record(source=f"trajectory {number}", times=at, states=one, inputs=driving)
        for number, (one, driving) in enumerate(zip(*jax.device_get((states, inputs)), strict=True))
    )
