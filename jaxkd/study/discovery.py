"""Discovery of equations from measured records, with all that a reader needs to judge them."""

import dataclasses
import functools
import itertools
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxkd.data.trajectories.measurements import SHORTEST, Measurements, Record, by_trajectory
from jaxkd.data.trajectories.sources import arrays
from jaxkd.dynamics import Bootstrap, Equations, Identified, bootstrap, identify, polynomials
from jaxkd.dynamics.derivatives.trajectories import Trajectories
from jaxkd.dynamics.derivatives.weak_form import window_stride
from jaxkd.dynamics.identification import parsing
from jaxkd.dynamics.identification.simulate import forecasts, positive, stays_near
from jaxkd.dynamics.identification.units import unit_of
from jaxkd.dynamics.validation.bands import forecast_band
from jaxkd.dynamics.validation.calibration import simulated_coverage
from jaxkd.dynamics.validation.discovered import Discovered, FoundTerm, Shown, SparsityPath
from jaxkd.dynamics.validation.held_out import HeldOut, held_out
from jaxkd.dynamics.validation.hidden_states import HiddenStateTest, hidden_state_test
from jaxkd.dynamics.validation.trust import has_equation, suspected, trust
from jaxkd.dynamics.validation.verdict import verdict
from jaxkd.typing import Key

if TYPE_CHECKING:
    import sympy  # at run time jaxkd.dynamics is first, which names the extra that installs it

logger = logging.getLogger(__name__)

LEVEL = 0.9
"""Level of intervals and bands."""

HELD_OUT = 5
"""Inverse of the held-out share: one of this many records, or the last such part of a single one."""

LEAST_WINDOWS = 3
"""Minimum number of windows of the hidden-state test."""

LONGER = 4
"""Duration of the simulations that must stay near the data, relative to the measured one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Search:
    """Settings of the search for equations."""

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


def split(records: Sequence[Record]) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """Split records into training and held-out ones.

    The last fifth of several trajectories is held out, else of the records of one that has gaps, else of a single
    record; nothing of one that is too short to be divided.
    """
    groups = by_trajectory(records)
    if len(groups) == 1:
        groups = [[record] for record in records]
    if len(groups) > 1:
        count = max(1, len(groups) // HELD_OUT)
        return tuple(itertools.chain(*groups[:-count])), tuple(itertools.chain(*groups[-count:]))
    (record,) = records
    if record.times.size < HELD_OUT * SHORTEST:
        return (record,), ()
    cut = record.times.size * (HELD_OUT - 1) // HELD_OUT
    return (_part(record, slice(None, cut), ""),), (_part(record, slice(cut, None), ", its last part"),)


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
    states, inputs = parsing.symbols(measurements.states), parsing.symbols(measurements.inputs)
    terms = _library(search, (*states, *inputs))
    known = parsing.known(search.known, states, inputs)
    signs = parsing.signs(search.signs, terms, states, inputs)
    used, left_out = split(measurements.records)
    train, test = (arrays(part, states, inputs) for part in (used, left_out or used))

    logger.info("1 of 5: smoothing of %d records and selection among %d terms", len(train.lengths), len(terms))
    identified = functools.partial(
        identify,
        times=train.times,
        names=states,
        terms=terms,
        inputs=train.inputs,
        input_names=inputs,
        lengths=train.lengths.tolist(),
        known=known,
        signs=None if signs is None else jnp.asarray(signs),
    )
    found = identified(train.states)
    logger.info("2 of 5: intervals of the coefficients, by %d resamples", search.replicates)
    draws, starts, again = jax.random.split(jax.random.key(search.seed), 3)
    drawn = bootstrap(found.fit, draws, replicates=search.replicates)
    logger.info("3 of 5: forecasts of %s", _counted(test))
    held = held_out(found.equations, test.states, test.times, inputs=test.inputs, lengths=test.lengths.tolist())
    shown = _shown(found, drawn, known, held, test, (left_out or used)[0], starts, unseen=bool(left_out))
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
            level=LEVEL,
        )
    logger.info("5 of 5: checks of the equations")
    before = _hidden_states(found, train, (*states, *inputs))
    stable = _stable(found.equations, held, test, train)
    checks = trust(
        found.fit,
        drawn,
        held,
        before,
        stable=stable,
        names=measurements.states,
        known=known,
        unseen=bool(left_out),
    )
    have = has_equation(found.fit, known)
    constant = np.all([np.ptp(record.states, axis=0) == 0 for record in measurements.records], axis=0)
    missing = tuple(name for name, there in zip(measurements.states, have | constant, strict=True) if not there)
    return Discovered(
        title=title,
        verdict=verdict(
            measurements.states,
            checks,
            found=have,
            constant=constant,
            suspect=np.zeros_like(have) if before is None else suspected(before),
            noise=held.noise / positive(held.deviation),
            candidates=len(terms),
        ),
        facts=_facts(measurements, train, test if left_out else None, held, len(terms)),
        time=measurements.time,
        states=measurements.states,
        units=measurements.units,
        equations=_written(found.equations, missing),
        missing=missing,
        latex=found.equations.latex(),
        python=found.equations.python(),
        terms=_terms(found, drawn, known, measurements),
        coverage=coverage,
        simulations=simulations,
        checks=checks,
        warnings=(
            *measurements.warnings,
            *_short(train.lengths, window=found.window, candidates=len(terms), unseen=bool(left_out)),
        ),
        shown=shown,
        training=tuple(np.asarray(states[:length]) for states, length in zip(found.states, train.lengths, strict=True)),
        remainder=held.remainder,
        noise=held.noise,
        paths=_paths(found, measurements.states),
        command=command,
    )


def _hidden_states(
    found: Identified, train: Trajectories, variables: "tuple[sympy.Symbol, ...]"
) -> HiddenStateTest | None:
    """Test for hidden states, unless too few windows are left behind the lag."""
    if _windows(train.lengths - found.window // 2, found.window) < LEAST_WINDOWS:
        return None
    smooth = found.states if train.inputs is None else jnp.concatenate([found.states, train.inputs], axis=2)
    return hidden_state_test(
        smooth,
        train.states,
        train.times,
        terms=found.equations.terms,
        variables=variables,
        window=found.window,
        lengths=train.lengths.tolist(),
    )


def _windows(lengths: Int[np.ndarray, " records"], window: int) -> int:
    """Return the number of windows of all records."""
    return int(np.maximum((lengths - window) // window_stride(window) + 1, 0).sum())


def _short(lengths: Int[np.ndarray, " records"], *, window: int, candidates: int, unseen: bool) -> list[str]:
    """Warn of what too few samples do to the results."""
    warnings, samples = [], int(lengths.sum())
    if not unseen:
        warnings.append(
            f"{samples} samples of one trajectory are too few to hold any out: NOTHING here was tested on data that "
            f"the equations were not found on. Measure another trajectory, or {HELD_OUT * SHORTEST} samples."
        )
    if (windows := _windows(lengths, window)) < candidates:
        warnings.append(
            f"{samples} samples make {windows} windows, FEWER than the {candidates} candidate terms: such equations "
            "may be chance. Measure more, or lower --degree."
        )
    return warnings


def _written(equations: Equations, missing: Sequence[str]) -> str:
    """Format equations, one per line, without those that were not found."""
    lines = str(equations.rounded(4)).splitlines()
    return "\n".join(
        f"d{state}/dt: no equation found" if str(state) in missing else line
        for state, line in zip(equations.states, lines, strict=True)
    )


def _library(search: Search, variables: "tuple[sympy.Symbol, ...]") -> "tuple[sympy.Expr, ...]":
    further = [parsing.expression(text, variables) for text in search.terms]
    return tuple(dict.fromkeys((*polynomials(variables, degree=search.degree), *further)))


def _shown(
    found: Identified,
    drawn: Bootstrap,
    known: Equations | None,
    held: HeldOut,
    test: Trajectories,
    record: Record,
    key: Key,
    *,
    unseen: bool,
) -> Shown:
    """Return the first record of `test`, and forecasts of the whole of it."""
    length = test.lengths[0]
    times = test.times[0, :length]
    inputs = None if test.inputs is None else test.inputs[0, :length]
    curve = jax.tree.map(lambda leaf: leaf[0], held.curves)
    smooth, slopes = curve.at(times), curve.at(times, derivative=1)
    field = found.equations.vector_field()
    predicted = jax.vmap(lambda y, u: field(0.0, y, u))(smooth, jnp.zeros((length, 0)) if inputs is None else inputs)
    options = {
        "terms": found.equations.terms,
        "variables": found.equations.variables,
        "deviation": jnp.asarray(positive(held.deviation)),
    }
    table = jnp.asarray(found.equations.coefficients)
    (forecast,) = np.asarray(forecasts(table[None], smooth[:1], times, inputs, **options))
    low, high = forecast_band(
        _draws(found, drawn, known), curve, times, inputs, key=key, tail=drawn.tail(LEVEL), **options
    )
    return Shown(
        source=record.source,
        unseen=unseen,
        times=record.times,
        measured=record.states,
        slopes=np.asarray(slopes),
        predicted_slopes=np.asarray(predicted),
        forecast=np.where(np.isfinite(forecast), forecast, np.nan),
        low=low,
        high=high,
    )


def _draws(found: Identified, drawn: Bootstrap, known: Equations | None) -> Float[Array, "draws terms states"]:
    """Return bootstrap coefficients of all terms; known ones are the same in each replicate."""
    further = len(found.equations.terms) - drawn.coefficients.shape[1]
    tables = jnp.pad(drawn.coefficients, ((0, 0), (0, further), (0, 0)))
    return tables if known is None else tables + known.within(found.equations.terms).coefficients[None]


def _stable(equations: Equations, held: HeldOut, test: Trajectories, train: Trajectories) -> float:
    """Return the share of records from whose starts a long simulation stays near the data."""
    everything = np.concatenate([np.asarray(part.states).reshape(-1, part.states.shape[2]) for part in (train, test)])
    low, high = everything.min(axis=0), everything.max(axis=0)
    near = []
    for index, length in enumerate(test.lengths):
        curve = jax.tree.map(lambda leaf, index=index: leaf[index], held.curves)
        times, inputs = test.times[index, :length], None
        start = curve.at(times[:1])[0]
        if test.inputs is None:
            times = jnp.linspace(0.0, LONGER * times[-1], LONGER * (length - 1) + 1)
        else:  # inputs are unknown after the record
            inputs = test.inputs[index, :length]
        near.append(stays_near(equations, start, times, inputs, low=low, high=high))
    return float(np.mean(near))


def _facts(
    measurements: Measurements, train: Trajectories, test: Trajectories | None, held: HeldOut, candidates: int
) -> dict[str, str]:
    noise = ", ".join(
        f"{name} {noise:.2g} ({100 * noise / deviation:.2g} %)"
        for name, noise, deviation in zip(measurements.states, held.noise, positive(held.deviation), strict=True)
    )
    return {
        "Found on": _counted(train),
        "Tried on": "the same" if test is None else _counted(test),
        "Candidate terms": str(candidates),
        "Noise of a sample (of the standard deviation)": noise,
    }


def _counted(records: Trajectories) -> str:
    count = len(records.lengths)
    return f"{count} {'record' if count == 1 else 'records'}, {sum(records.lengths):,} samples"


def _terms(
    found: Identified, drawn: Bootstrap, known: Equations | None, measurements: Measurements
) -> tuple[FoundTerm, ...]:
    low, high = (np.asarray(end) for end in drawn.interval(LEVEL))
    support, inclusion = np.asarray(found.fit.support), np.asarray(drawn.inclusion)
    given = None if known is None else known.within(found.equations.terms).coefficients
    rows: list[FoundTerm] = []
    for column, state in enumerate(found.equations.states):
        for row, term in enumerate(found.equations.terms):
            value = float(found.equations.coefficients[row, column])
            unit = unit_of(term, state, measurements.time, measurements.units)
            found_term = FoundTerm(
                state=str(state), term=str(term), coefficient=value, low=value, high=value, inclusion=None, unit=unit
            )
            if given is not None and given[row, column]:
                rows.append(found_term)
            elif row < len(support) and support[row, column]:
                ends = float(low[row, column]), float(high[row, column])
                share = float(inclusion[row, column])
                rows.append(dataclasses.replace(found_term, low=ends[0], high=ends[1], inclusion=share))
    return tuple(rows)


def _paths(found: Identified, names: Sequence[str]) -> tuple[SparsityPath, ...]:
    errors = np.asarray(found.fit.errors)
    baseline = positive(errors[:, 0].mean(axis=1))  # without a term
    errors = errors / baseline[:, None, None]
    sizes = np.asarray(jnp.sum(found.fit.candidates, axis=2))
    return tuple(
        SparsityPath(
            state=name,
            terms=sizes[channel],
            errors=errors[channel].mean(axis=1),
            deviations=errors[channel].std(axis=1, ddof=1) / np.sqrt(errors.shape[2]),
            chosen=int(found.fit.chosen[channel]),
        )
        for channel, name in enumerate(names)
    )
