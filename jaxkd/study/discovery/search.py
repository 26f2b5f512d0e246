"""Search for equations, and its validation on records that were held out."""

import dataclasses
import functools
import itertools
import logging
from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import sympy
from jaxtyping import Int

from jaxkd.data.trajectories.measurements import SHORTEST, Measurements, Record, by_trajectory
from jaxkd.data.trajectories.sources import arrays
from jaxkd.dynamics import Identified, bootstrap, identify
from jaxkd.dynamics.derivatives.trajectories import Trajectories
from jaxkd.dynamics.derivatives.weak_form import window_stride
from jaxkd.dynamics.identification.simulate import positive, stays_near
from jaxkd.dynamics.validation.calibration import simulated_coverage
from jaxkd.dynamics.validation.discovered import Discovered
from jaxkd.dynamics.validation.held_out import HeldOut, held_out, start_of
from jaxkd.dynamics.validation.hidden_states import HiddenStateTest, delay_of, hidden_state_test
from jaxkd.dynamics.validation.trust import has_equation, suspected, trust
from jaxkd.dynamics.validation.verdict import ADVICE, verdict
from jaxkd.study.discovery import results
from jaxkd.study.discovery.notation import Notation

logger = logging.getLogger(__name__)

HELD_OUT = 5
"""Inverse of the held-out share: one of this many records, or the last such part of a single one."""

LEAST_WINDOWS = 3
"""Minimum number of windows of the hidden-state test."""

LONGER = 4
"""Duration of the simulations that must stay near the data, relative to the measured one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Search:
    """Settings of the search for equations."""

    order: Literal[1, 2] = 1
    """2: the states are positions, and their second derivatives are functions of them and of their velocities dx_dt."""
    degree: int = 3
    """Highest degree of the products of states and inputs that are candidates."""
    terms: tuple[str, ...] = ()
    """Further candidate terms, such as "sin(x)" or "exp(-x)"."""
    known: tuple[str, ...] = ()
    """Known parts of the equations, with their coefficients, such as "x = v"."""
    signs: tuple[str, ...] = ()
    """Signs that coefficients must have, such as "v: x < 0"."""
    replicates: int = 200
    """Number of bootstrap replicates."""
    simulations: int = 10
    """Number of simulations of the equations, with the data's noise, on which the search is repeated to count how often
    the intervals hold the coefficients; 0 skips this."""
    seed: int = 0
    """Seed of the bootstrap and the simulations."""


def split(records: Sequence[Record], *, overlap: int = 0) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """Split records into training and held-out ones.

    The last fifth of several trajectories is held out, else of the records of one that has gaps, else of a single
    record; nothing of one that is too short to be divided.

    Args:
        records: at least one record.
        overlap: samples by which delay coordinates reach back, which a divided record loses between its parts.
    """
    groups = by_trajectory(records)
    if len(groups) == 1:
        groups = [[record] for record in records]
    if len(groups) > 1:
        count = max(1, len(groups) // HELD_OUT)
        return tuple(itertools.chain(*groups[:-count])), tuple(itertools.chain(*groups[-count:]))
    (record,) = records
    if record.times.size < HELD_OUT * (SHORTEST + overlap):
        return (record,), ()
    cut = record.times.size * (HELD_OUT - 1) // HELD_OUT
    return (_part(record, slice(None, cut), ""),), (_part(record, slice(cut + overlap, None), ", its last part"),)


def _part(record: Record, samples: slice, called: str) -> Record:
    arrays = {name: getattr(record, name)[samples] for name in ("times", "states", "inputs")}
    return dataclasses.replace(record, source=record.source + called, **arrays)


def discover(measurements: Measurements, search: Search, *, title: str, command: str) -> Discovered:
    """Find equations on most records, and test them on the others.

    Args:
        measurements: records, with a unit for each column, or without.
        search: settings of the search.
        title: title of the report.
        command: command that makes the report again.

    Raises:
        ValueError: invalid terms, known parts or signs, or too few samples to compute anything.
    """
    notation = Notation.of(measurements, order=search.order)
    terms = notation.library(degree=search.degree, further=search.terms)
    known, signs = notation.known(search.known), notation.signs(search.signs, terms)
    used, left_out = split(measurements.records, overlap=measurements.overlap)
    train, test = (arrays(part, notation.states, notation.inputs) for part in (used, left_out or used))

    logger.info("1 of 5: smoothing of %d records and selection among %d terms", len(train.lengths), len(terms))
    identified = functools.partial(
        identify,
        times=train.times,
        names=notation.states,
        terms=terms,
        inputs=train.inputs,
        input_names=notation.inputs,
        velocities=notation.velocities,
        lengths=train.lengths.tolist(),
        known=known,
        signs=None if signs is None else jnp.asarray(signs),
    )
    found = identified(train.states)
    logger.info("2 of 5: intervals of the coefficients, by %d resamples", search.replicates)
    draws, starts, again = jax.random.split(jax.random.key(search.seed), 3)
    drawn = bootstrap(found.fit, draws, replicates=search.replicates)
    logger.info("3 of 5: forecasts of %s", results.counted(test))
    options = {"inputs": test.inputs, "lengths": test.lengths.tolist(), "order": search.order}
    held = held_out(found.system, test.states, test.times, **options)
    shown = results.shown(found, drawn, known, held, test, (left_out or used)[0], starts, unseen=bool(left_out))
    simulations = search.simulations if np.any(found.fit.support) else 0
    logger.info("4 of 5: the same search in %d simulations", simulations)
    coverage = None
    if simulations:
        coverage = simulated_coverage(
            found,
            train.times,
            train.inputs,
            identified=identified,
            key=again,
            simulations=simulations,
            replicates=search.replicates,
            level=results.LEVEL,
        )
    logger.info("5 of 5: checks of the equations")
    before = _hidden_states(found, train, notation.variables)
    stable = _stable(found, held, test, train)
    checks = trust(
        found.fit,
        drawn,
        held,
        before,
        stable=stable,
        names=notation.labels,
        known=known,
        unseen=bool(left_out),
    )
    have = has_equation(found.fit, known)
    constant = np.all([np.ptp(record.states, axis=0) == 0 for record in measurements.records], axis=0)
    missing = tuple(name for name, there in zip(notation.labels, have | constant, strict=True) if not there)
    units = {name: unit for name, unit in measurements.units.items() if name not in measurements.logarithms}
    return Discovered(
        title=title,
        verdict=verdict(
            notation.labels,
            checks,
            found=have,
            constant=constant,
            suspect=np.zeros_like(have) if before is None else suspected(before),
            noise=held.noise / positive(held.deviation),
            candidates=len(terms),
            advice=ADVICE[search.order - 1 :],
        ),
        facts=results.facts(measurements, train, test if left_out else None, held, len(terms)),
        time=measurements.time,
        states=notation.labels,
        units=units,
        equations=notation.text(found.equations, missing),
        missing=missing,
        latex=notation.latex(found.equations),
        python=found.system.python(),
        terms=results.terms(found, drawn, known, notation),
        coverage=coverage,
        simulations=simulations,
        checks=checks,
        warnings=(
            *measurements.warnings,
            *_short(
                train.lengths,
                window=found.window,
                candidates=len(terms),
                unseen=bool(left_out),
                overlap=measurements.overlap,
            ),
        ),
        shown=shown,
        training=tuple(
            np.asarray(states[:length, : len(notation.states)])
            for states, length in zip(found.states, train.lengths, strict=True)
        ),
        remainder=held.remainder,
        noise=held.noise,
        paths=results.paths(found, notation.labels),
        command=command,
        order=search.order,
    )


def _hidden_states(
    found: Identified, train: Trajectories, variables: tuple[sympy.Symbol, ...]
) -> HiddenStateTest | None:
    """Test for hidden states, unless too few windows are left behind the lag."""
    if _windows(train.lengths - delay_of(train.times, window=found.window)[1], found.window) < LEAST_WINDOWS:
        return None
    return hidden_state_test(
        found.fine,
        train.states,
        train.times,
        terms=found.equations.terms,
        variables=variables,
        window=found.window,
        lengths=train.lengths.tolist(),
        order=found.order,
    )


def _windows(lengths: Int[np.ndarray, " records"], window: int) -> int:
    """Return the number of windows of all records."""
    return int(np.maximum((lengths - window) // window_stride(window) + 1, 0).sum())


def _short(
    lengths: Int[np.ndarray, " records"], *, window: int, candidates: int, unseen: bool, overlap: int = 0
) -> list[str]:
    """Warn of what too few samples do to the results."""
    warnings, samples = [], int(lengths.sum())
    if not unseen:
        warnings.append(
            f"{samples} samples of one trajectory are too few to hold any out: NOTHING here was tested on data that "
            "the equations were not found on. Measure another trajectory, or "
            f"{HELD_OUT * (SHORTEST + overlap)} samples."
        )
    if (windows := _windows(lengths, window)) < candidates:
        warnings.append(
            f"{samples} samples make {windows} windows, FEWER than the {candidates} candidate terms: such equations "
            "may be chance. Measure more, or lower --degree."
        )
    return warnings


def _stable(found: Identified, held: HeldOut, test: Trajectories, train: Trajectories) -> float:
    """Return the share of records from whose starts a long simulation stays near the data."""
    parts = [np.asarray(part.states).reshape(-1, part.states.shape[2]) for part in (train, test)]
    low, high = np.min(np.concatenate(parts), axis=0), np.max(np.concatenate(parts), axis=0)
    if found.order == 2:
        speeds = np.asarray(found.states[..., len(low) :])[train.there]
        low, high = (np.append(end, of(speeds, axis=0)) for end, of in ((low, np.min), (high, np.max)))
    near = []
    for index, length in enumerate(test.lengths):
        curve = jax.tree.map(lambda leaf, index=index: leaf[index], held.curves)
        times, inputs = test.times[index, :length], None
        start = start_of(curve, times[0], order=found.order)
        if test.inputs is None:
            times = jnp.linspace(0.0, LONGER * times[-1], LONGER * (length - 1) + 1)
        else:  # inputs are unknown after the record
            inputs = test.inputs[index, :length]
        near.append(stays_near(found.system, start, times, inputs, low=low, high=high))
    return float(np.mean(near))
