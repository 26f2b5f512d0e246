"""Other coordinates of measured states: their logarithms, and their values a while before."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from jaxkd.data.trajectories.measurements import LEAST, SHORTEST, Measurements, Record

UNEVEN = 0.01
"""Largest deviation of a sample from an even spacing, in steps, at which a delay of whole steps is taken as exact."""


def logarithms(measurements: Measurements, names: Sequence[str]) -> Measurements:
    """Replace states by their natural logarithms.

    Names and units stay those of the columns: `Measurements.logarithms` states which were replaced, and `labels` names
    them `log x`.  In logarithms, noise that is a share of the value is even, and growth rates are sums of few terms:
    x' = x g(x, y) is (log x)' = g(x, y).

    Args:
        measurements: records in which the states are > 0, as `read(..., positive=names)` requires.
        names: states to replace, each with its delay coordinates.

    Example:
        >>> times, states = np.arange(3.0), np.exp([[0.0], [1.0], [2.0]])
        >>> record = Record(source="a", times=times, states=states, inputs=states[:, :0])
        >>> grown = Measurements(time="t", states=("x",), inputs=(), units={}, records=(record,), warnings=())
        >>> found = logarithms(grown, ["x"])
        >>> found.labels, found.records[0].states[:, 0].tolist()
        (('log x',), [0.0, 1.0, 2.0])
    """
    chosen = [state for state in measurements.states if state in names or state.rpartition(_DELAY)[0] in names]
    columns = [measurements.states.index(state) for state in chosen]

    def replaced(record: Record) -> Record:
        states = record.states.copy()
        states[:, columns] = np.log(states[:, columns])
        return dataclasses.replace(record, states=states)

    return dataclasses.replace(
        measurements, records=tuple(map(replaced, measurements.records)), logarithms=tuple(chosen)
    )


def delayed(measurements: Measurements, *, count: int, delay: float) -> Measurements:
    """Add the delay coordinates x(t - delay), ..., x(t - count delay) of every state as further states.

    They stand in for states that were not measured: almost every choice of enough of them determines the state of the
    system, so that their rates of change are functions of them.  They are states and not inputs, so that a simulation
    forecasts them as well; as inputs they would tell it the past of the very record that it is compared with.  Each is
    a sample of its own record, so that its noise stays white.  `x_delay2` is x, two delays before.

    Args:
        measurements: records of evenly spaced samples, each of which loses its first `count` delays.
        count: number of delays, >= 1.
        delay: time between the coordinates, > 0, in the unit of time; a whole number of steps.

    Raises:
        ValueError: a count or a delay out of range, uneven samples, a delay between two samples, names that exist, or
            too few samples left.

    Source: Takens 1981 (doi 10.1007/BFb0091924); delay coordinates in sparse regression as in HAVOK, Brunton et al.
    2017 (doi 10.1038/s41467-017-00030-8).  Deviation: the coordinates themselves, which have a meaning and a unit, in
    place of the singular vectors of their Hankel matrix, and no forcing term.

    Example:
        >>> times = np.arange(12.0)
        >>> record = Record(source="a", times=times, states=times[:, None], inputs=times[:, None][:, :0])
        >>> line = Measurements(time="t", states=("x",), inputs=(), units={}, records=(record,), warnings=())
        >>> found = delayed(line, count=1, delay=2.0)
        >>> found.states, found.records[0].states[0].tolist()
        (('x', 'x_delay1'), [2.0, 0.0])
    """
    if count < 1 or not delay > 0:
        raise ValueError(f"delays must be at least 1 and delay > 0, got {count} and {delay:g}. Give both.")
    names = [f"{state}{_DELAY}{number}" for number in range(1, count + 1) for state in measurements.states]
    if taken := {*names} & {measurements.time, *measurements.states, *measurements.inputs}:
        raise ValueError(f"columns must not have names of delay coordinates, got {sorted(taken)[0]!r}. Rename it.")
    steps = [_steps(record, delay) for record in measurements.records]
    left = [record.times.size - count * each for record, each in zip(measurements.records, steps, strict=True)]
    least = SHORTEST if max(left) >= SHORTEST else LEAST
    if max(left) < least:
        longest = measurements.records[int(np.argmax(left))]
        raise ValueError(
            f"delays must leave a record of at least {LEAST} samples, got {count} of {delay:g}, which leave "
            f"{max(0, *left)} of {longest.times.size} samples in {longest.source}. Take fewer or shorter ones, or "
            "measure longer."
        )
    kept = [index for index, size in enumerate(left) if size >= least]
    warnings = list(measurements.warnings)
    if len(kept) < len(left):
        warnings.append(
            f"{len(left) - len(kept)} of {len(left)} records left out: delays leave them < {least} samples."
        )
    units = {
        name: measurements.units[state]
        for name, state in zip(names, measurements.states * count, strict=True)
        if state in measurements.units
    }
    return dataclasses.replace(
        measurements,
        states=(*measurements.states, *names),
        units={**measurements.units, **units},
        records=tuple(_shifted(measurements.records[index], count, steps[index]) for index in kept),
        warnings=tuple(warnings),
        delay=delay,
        overlap=count * max(steps[index] for index in kept),
    )


_DELAY = "_delay"


def _steps(record: Record, delay: float) -> int:
    """Return the delay in samples."""
    steps = np.diff(record.times)
    step = float(np.mean(steps))
    if np.any(np.abs(steps - step) > UNEVEN * step):
        raise ValueError(
            f"{record.source}: samples must be evenly spaced for --delays, got steps from {steps.min():.4g} to "
            f"{steps.max():.4g}. Resample the record, or try --order 2."
        )
    count = max(1, round(delay / step))
    if abs(count * step - delay) > UNEVEN * step:
        raise ValueError(
            f"delay must be a whole number of steps, got {delay:g} with a step of {step:.4g} in {record.source}. "
            f"Take {count * step:.4g}."
        )
    return count


def _shifted(record: Record, count: int, steps: int) -> Record:
    size = record.times.size
    columns = [record.states[(count - number) * steps : size - number * steps] for number in range(count + 1)]
    kept = {name: getattr(record, name)[count * steps :] for name in ("times", "inputs")}
    return dataclasses.replace(record, states=np.concatenate(columns, axis=1), **kept)
