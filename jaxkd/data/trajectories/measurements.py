"""Measured trajectories of a dynamical system, from files to uninterrupted records."""

import collections
import dataclasses
import difflib
import itertools
import keyword
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from jaxkd.data.trajectories import measurement_tables
from jaxkd.data.trajectories.measurement_tables import Rows, Table

SHORTEST = 16
"""Minimum samples of a record; shorter ones are left out if there are others."""

LEAST = 9
"""Minimum samples of a record if all are short: one window."""

GAP = 5.0
"""Longest step of a record, in median steps: it is cut at longer ones, unless its steps are random."""

BY_CHANCE = 1e-6
"""Probability of a longer step than the longest random one, in a record."""

FEWEST_TO_CUT = 8
"""Minimum samples for a meaningful median step."""

TIMES = ("t", "time", "Time", "T")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """One uninterrupted trajectory, all float64."""

    source: str
    """Display name: "prey.csv", "prey.csv, trajectory 3" or "prey.csv, after the gap at 3.2"."""
    times: Float[np.ndarray, " times"]
    """Sample times, strictly increasing."""
    states: Float[np.ndarray, "times states"]
    inputs: Float[np.ndarray, "times inputs"]
    """Inputs, without columns if there are none."""
    trajectory: str = ""
    """Source of the trajectory that a gap cut it off from; empty if it begins one."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Measurements:
    """Records of the same states and inputs, whose names are Python identifiers, not keywords."""

    time: str
    states: tuple[str, ...]
    inputs: tuple[str, ...]
    units: Mapping[str, str]
    """Units of the columns that state one, time included."""
    records: tuple[Record, ...]
    warnings: tuple[str, ...]
    """Messages to the user about what was left out or cut, counted for each file."""
    logarithms: tuple[str, ...] = ()
    """States of which the records hold the natural logarithm; `units` has the units of what it is of."""
    delay: float = 0.0
    """Time between delay coordinates; 0 if there are none."""
    overlap: int = 0
    """Samples by which delay coordinates reach back before a record's first sample."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the states for display: `hare`, or `log hare`."""
        return tuple(f"log {name}" if name in self.logarithms else name for name in self.states)


def by_trajectory(records: Sequence[Record]) -> list[list[Record]]:
    """Group records of one trajectory, in order of appearance."""
    groups = collections.defaultdict(list)
    for record in records:
        groups[record.trajectory or record.source].append(record)
    return list(groups.values())


def read(
    paths: Sequence[Path],
    *,
    time: str | None = None,
    states: Sequence[str] = (),
    inputs: Sequence[str] = (),
    trajectory: str | None = None,
    positive: Sequence[str] = (),
) -> Measurements:
    r"""Read the records of all files, in order.

    `.csv`, `.tsv` and `.txt` have a header, and commas, semicolons, tabs or white space between the cells; empty lines
    and those that begin with # are skipped.  Each array of `.npz` and each variable of `.nc` (NetCDF 3) is a column:
    `[times]`, which all trajectories share, or `[trajectories, times]`; both axes are counted from 0.  A name may carry
    a unit, `prey [kg]` or `prey (kg)`; in `.nc` the attribute `units` states it.

    Rows with a missing value (an empty cell, NA, nan, inf) and exact repetitions of the previous row are left out.  A
    record is cut at gaps, steps of more than `GAP` median steps and longer than any that random sample times would
    make, see `longest_step`.  Records of fewer than `SHORTEST` samples are left out; if all are, those of at least
    `LEAST` are read.  All of this is reported in `Measurements.warnings`.

    Args:
        paths: files of the same states and inputs, in any order, in the same units.
        time: column of the time.  None: the one named t, time, Time or T if there is just one, else the first that no
            other argument names.
        states: columns of the states.  Empty: all others.
        inputs: columns of the inputs.
        trajectory: column whose values, numbers or text, name the trajectory of each row.  Rows of one trajectory need
            not be adjacent.
        positive: states that must be > 0, so that they have a logarithm.

    Raises:
        ValueError: unknown or malformed files, columns that do not exist, that differ between files or whose names are
            not identifiers, times that do not increase, a value that is not positive, no record left.
        FileNotFoundError: a file does not exist.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "decay.csv"
        >>> _ = path.write_text("t [s],x [kg]\n" + "\n".join(f"{k},{2.0**-k}" for k in range(20)))
        >>> measured = read([path])
        >>> measured.time, measured.states, measured.units, measured.records[0].states.shape
        ('t', ('x',), {'t': 's', 'x': 'kg'}, (20, 1))
    """
    _require_distinct(paths, [*filter(None, [time, trajectory]), *states, *inputs])
    tables = [measurement_tables.read(path, source) for path, source in zip(paths, _sources(paths), strict=True)]
    each = [_columns(table, time, states, inputs, trajectory) for table in tables]
    columns = each[0]
    for table, other in zip(tables[1:], each[1:], strict=True):
        _require_same(tables[0], columns, table, other)
    for name in positive:
        if name not in columns.states:
            raise ValueError(
                f"log must name states, which are {', '.join(columns.states)}, got {name!r}. Name one of them, or none."
            )
    pieces = {}
    for table in tables:
        rows = table.rows(columns.all, trajectory)
        _require_positive(rows, columns, positive)
        pieces[table.source] = _records(rows, table.source, columns)
    longest = max(record.times.size for found, _ in pieces.values() for record in found)
    least = SHORTEST if longest >= SHORTEST else LEAST
    records, warnings = [], []
    for source, (found, messages) in pieces.items():
        records += [record for record in found if record.times.size >= least]
        warnings += messages
        if short := [record for record in found if record.times.size < least]:
            first = f"the first is {short[0].source}, with {short[0].times.size}"
            warnings.append(f"{source}: {_counted(short, 'record')} of fewer than {least} samples left out ({first}).")
    if not records:
        raise ValueError(
            f"paths must hold a record of at least {LEAST} samples, got none. {' '.join(warnings)} "
            "Give longer records, or complete ones."
        )
    if least < SHORTEST:
        warnings.append(f"ALL records have fewer than {SHORTEST} samples, at most {longest}: expect little of them.")
    warnings += [
        f"{name} never changes in any record: its equation will be 0."
        for column, name in enumerate(columns.states)
        if all(np.ptp(record.states[:, column]) == 0 for record in records)
    ]
    return Measurements(
        time=columns.time,
        states=columns.states,
        inputs=columns.inputs,
        units={name: tables[0].units[name] for name in columns.all if name in tables[0].units},
        records=tuple(records),
        warnings=tuple(warnings),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Columns:
    time: str
    states: tuple[str, ...]
    inputs: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        return (self.time, *self.states, *self.inputs)


def _require_distinct(paths: Sequence[Path], requested: Sequence[str]) -> None:
    if not paths:
        raise ValueError("paths must name at least one file, got none. Name the file with the measurements.")
    for path, count in collections.Counter(paths).items():
        if count > 1:
            raise ValueError(f"paths must name each file once, got {str(path)!r} {count} times. Leave the others out.")
    for name, count in collections.Counter(requested).items():
        if count > 1:
            raise ValueError(
                f"time, states, inputs and trajectory must name different columns, got {name!r} {count} times. "
                "Name it once."
            )


def _sources(paths: Sequence[Path]) -> list[str]:
    """Return the names of the files, with folders if two are equal."""
    names = collections.Counter(path.name for path in paths)
    return [path.name if names[path.name] == 1 else str(path) for path in paths]


def _columns(
    table: Table, time: str | None, states: Sequence[str], inputs: Sequence[str], trajectory: str | None
) -> _Columns:
    """Return the requested columns, and the others by the header."""
    requested = [*filter(None, [time, trajectory]), *states, *inputs]
    for name in requested:
        if name not in table.names:
            raise ValueError(f"{table.source}: there must be a column {name!r}, got {_listed(table.names, name)}")
    free = [name for name in table.names if name not in requested]
    if time is None:
        called = [name for name in free if name in TIMES]
        time = called[0] if len(called) == 1 else next(iter(free), None)
    free = [name for name in free if name != time]
    if time is None or not (states or free):
        raise ValueError(
            f"{table.source}: there must be a column for time and one for a state, got {', '.join(table.names)}. "
            "Give a file with both, or ask for fewer inputs."
        )
    columns = _Columns(time=time, states=tuple(states or free), inputs=tuple(inputs))
    for name in columns.all:
        if not name.isidentifier() or keyword.iskeyword(name):
            place = f"column {table.names.index(name) + 1}"
            raise ValueError(
                f"{table.source}: names of columns must be Python identifiers other than keywords, got {name!r} for "
                f"{place}. Rename it, for instance to {_identifier(name)!r}, or leave it out with --states."
            )
    return columns


def _listed(names: Sequence[str], wrong: str) -> str:
    lowered = {name.lower(): name for name in names}
    near = difflib.get_close_matches(wrong.lower(), lowered, n=1)
    return ", ".join(names) + "." + (f" Did you mean {lowered[near[0]]!r}?" if near else " Name one of them.")


def _identifier(name: str) -> str:
    allowed = "".join(letter if f"x{letter}".isidentifier() else "_" for letter in name)
    joined = re.sub("_+", "_", allowed).strip("_")
    if keyword.iskeyword(joined):
        return f"{joined}_"
    return joined if joined.isidentifier() else f"x{joined}"


def _require_same(table: Table, columns: _Columns, other_table: Table, other: _Columns) -> None:
    """Require the same columns, in any order, and units."""
    if (columns.time, {*columns.states}, {*columns.inputs}) != (other.time, {*other.states}, {*other.inputs}):
        raise ValueError(
            f"{other_table.source} must have the columns of {table.source}, {', '.join(columns.all)}, got "
            f"{', '.join(other.all)}. Rename them, or name those to be read with --time, --states and --inputs."
        )
    for name in columns.all:
        unit, got = (each.units.get(name, "no unit") for each in (table, other_table))
        if unit != got:
            raise ValueError(
                f"{name} must have the same unit in all files, got {unit} in {table.source} and {got} in "
                f"{other_table.source}. Convert one of them, or correct its header."
            )


def _require_positive(rows: Rows, columns: _Columns, positive: Sequence[str]) -> None:
    for name in positive:
        values = rows.values[:, columns.all.index(name)]
        wrong = np.flatnonzero(np.isfinite(values) & (values <= 0))
        if wrong.size:
            raise ValueError(
                f"{rows.at(int(wrong[0]))}: {name} must be > 0 for its logarithm (--log), got {values[wrong[0]]:.15g}, "
                f"and {wrong.size - 1} more. Leave those cells empty if they are no measurements, or {name} out of "
                "--log."
            )


def _records(rows: Rows, source: str, columns: _Columns) -> tuple[list[Record], list[str]]:
    """Return one file's records and warnings to the user."""
    complete = np.isfinite(rows.values).all(axis=1)
    if rows.trajectories is not None:
        complete &= np.array([name != "" for name in rows.trajectories])
    repeated, gaps, records = [], [], []
    for name, chosen in _trajectories(rows, np.flatnonzero(complete)).items():
        again = _repetitions(rows, chosen, columns.time)
        repeated += chosen[again].tolist()
        values = rows.values[chosen[~again]]
        starts = _after_gaps(values[:, 0])
        called = source if name is None else f"{source}, trajectory {name}"
        for start, end in itertools.pairwise([0, *starts, len(values)]):
            gap = values[start - 1, 0] if start else None
            gaps += [] if gap is None else [gap]
            records.append(
                Record(
                    source=called if gap is None else f"{called}, after the gap at {gap:.15g}",
                    times=values[start:end, 0],
                    states=values[start:end, 1 : 1 + len(columns.states)],
                    inputs=values[start:end, 1 + len(columns.states) :],
                    trajectory="" if gap is None else called,
                )
            )
    missing = np.flatnonzero(~complete)
    warnings = []
    if missing.size:
        first = rows.where(int(missing[0]))
        warnings.append(f"{_counted(missing, 'row')} with missing values left out (the first {first}).")
    if repeated:
        warnings.append(f"{_counted(repeated, 'repeated row')} left out (the first {rows.where(min(repeated))}).")
    if gaps:
        warnings.append(f"cut at {_counted(gaps, 'gap')} in {columns.time} (the first after {gaps[0]:.15g}).")
    return records, [f"{source}: {warning}" for warning in warnings]


def _counted(things: Sequence | np.ndarray, kind: str) -> str:
    return f"{len(things)} {kind}" + ("" if len(things) == 1 else "s")


def _trajectories(rows: Rows, chosen: Int[np.ndarray, " chosen"]) -> dict[str | None, Int[np.ndarray, " samples"]]:
    """Return the chosen rows by trajectory, in order of appearance."""
    if rows.trajectories is None:
        return {None: chosen}
    members = collections.defaultdict(list)
    for row in chosen.tolist():
        members[rows.trajectories[row]].append(row)
    return {name: np.array(member) for name, member in members.items()}


def _repetitions(rows: Rows, chosen: Int[np.ndarray, " samples"], time: str) -> np.ndarray:
    """Return which samples of a trajectory repeat the previous one.

    Raises:
        ValueError: times that decrease, or are equal while values change.
    """
    values = rows.values[chosen]
    again = np.zeros(len(chosen), bool)
    steps = np.diff(values[:, 0])
    again[1:] = (values[1:] == values[:-1]).all(axis=1)
    wrong = np.flatnonzero((steps <= 0) & ~again[1:])
    if wrong.size:
        before, now = values[wrong[0] : wrong[0] + 2, 0]
        at = rows.at(int(chosen[wrong[0] + 1]))
        if now == before:
            raise ValueError(
                f"{at}: a row must have a time of its own, got {time} {now:.15g} with other values than the row "
                "before. Keep one of them, or name the column that tells trajectories apart (--trajectory)."
            )
        raise ValueError(
            f"{at}: {time} must increase, got {now:.15g} after {before:.15g}. Sort the rows by {time}, or name the "
            "column that tells trajectories apart (--trajectory)."
        )
    return again


def _after_gaps(times: Float[np.ndarray, " times"]) -> list[int]:
    """Return the samples after a gap."""
    if times.size < FEWEST_TO_CUT:
        return []
    steps = np.diff(times)
    return (np.flatnonzero(steps > longest_step(steps)) + 1).tolist()


def longest_step(steps: Float[np.ndarray, " steps"]) -> float:
    """Longest step that is no gap: `GAP` medians, or what random steps exceed in one record of 1 / `BY_CHANCE`.

    Random steps have a Weibull distribution with the quartiles of the given ones, which a few gaps do not change, and
    with three standard errors more between them.  It is exponential for a Poisson process, narrower for even steps with
    jitter, and is never taken as wider than exponential.

    Args:
        steps: time from each sample to the next, at least one.

    Example:
        >>> longest_step(np.ones(100)), round(longest_step(-np.log(np.arange(0.5, 100) / 100)))
        (5.0, 18)
    """
    median = float(np.median(steps))
    low, high = np.quantile(steps, [0.25, 0.75])
    if high == low:
        return GAP * median
    # The standard error of the distance of the logarithms is 1.26 / sqrt(n) of it.
    distance = math.log(high / low) * (1 + 3 * 1.26 / math.sqrt(steps.size))
    shape = max(1.0, math.log(math.log(4) / math.log(4 / 3)) / distance)
    longest = median * (math.log(steps.size / BY_CHANCE) / math.log(2)) ** (1 / shape)
    return max(GAP * median, longest)
