"""Discovery of equations from measured records, with all that a reader needs to judge them."""

import dataclasses
import functools
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxkd.data.trajectories.measurements import SHORTEST, Measurements, Record
from jaxkd.data.trajectories.sources import arrays
from jaxkd.dynamics import Bootstrap, Equations, Identified, bootstrap, identify, polynomials
from jaxkd.dynamics.derivatives.trajectories import Trajectories
from jaxkd.dynamics.identification import parsing
from jaxkd.dynamics.identification.simulate import forecasts, positive, stays_near
from jaxkd.dynamics.identification.units import unit_of
from jaxkd.dynamics.validation.bands import forecast_band
from jaxkd.dynamics.validation.calibration import simulated_coverage
from jaxkd.dynamics.validation.discovered import Discovered, FoundTerm, Shown, SparsityPath
from jaxkd.dynamics.validation.held_out import HeldOut, held_out
from jaxkd.dynamics.validation.hidden_states import hidden_state_test
from jaxkd.dynamics.validation.trust import trust
from jaxkd.typing import Key

if TYPE_CHECKING:
    import sympy  # at run time jaxkd.dynamics is first, which names the extra that installs it

logger = logging.getLogger(__name__)

LEVEL = 0.9
"""Level of intervals and bands."""

HELD_OUT = 5
"""Inverse of the held-out share: one of this many records, or the last such part of a single one."""

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
    """Split records into training and held-out ones: the last fifth of several, or of a single one, is held out.

    Raises:
        ValueError: a single record that is too short to split.
    """
    if len(records) > 1:
        count = max(1, len(records) // HELD_OUT)
        return tuple(records[:-count]), tuple(records[-count:])
    (record,) = records
    cut = record.times.size * (HELD_OUT - 1) // HELD_OUT
    if record.times.size < HELD_OUT * SHORTEST:
        raise ValueError(
            f"data must be several records, or one of at least {HELD_OUT * SHORTEST} samples whose last part can be "
            f"held out, got {record.times.size} in {record.source}. Measure longer, or more often."
        )
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
        ValueError: invalid terms, known parts or signs, or records that are too few or too short.
    """
    states, inputs = parsing.symbols(measurements.states), parsing.symbols(measurements.inputs)
    terms = _library(search, (*states, *inputs))
    known = parsing.known(search.known, states, inputs)
    signs = parsing.signs(search.signs, terms, states, inputs)
    used, left_out = split(measurements.records)
    train, test = (arrays(part, states, inputs) for part in (used, left_out))

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
    for line in str(found.equations.rounded(4)).splitlines():
        logger.info("  %s", line)
    logger.info("2 of 5: intervals of the coefficients, by %d resamples", search.replicates)
    draws, starts, again = jax.random.split(jax.random.key(search.seed), 3)
    drawn = bootstrap(found.fit, draws, replicates=search.replicates)
    logger.info("3 of 5: forecasts of %d held-out records", len(test.lengths))
    held = held_out(found.equations, test.states, test.times, inputs=test.inputs, lengths=test.lengths.tolist())
    shown = _shown(found, drawn, known, held, test, left_out[0], starts)
    logger.info("4 of 5: the same search in %d simulations", search.simulations)
    coverage = None
    if search.simulations:
        coverage = simulated_coverage(
            found,
            train.times,
            train.inputs,
            identified=identified,
            key=again,
            simulations=search.simulations,
            replicates=search.replicates,
            level=LEVEL,
        )
    logger.info("5 of 5: checks of the equations")
    smooth = found.states if train.inputs is None else jnp.concatenate([found.states, train.inputs], axis=2)
    before = hidden_state_test(
        smooth,
        train.states,
        train.times,
        terms=found.equations.terms,
        variables=(*states, *inputs),
        window=found.window,
        lengths=train.lengths.tolist(),
    )
    stable = _stable(found.equations, held, test, train)
    checks = trust(found.fit, drawn, held, before, stable=stable, names=measurements.states)
    return Discovered(
        title=title,
        facts=_facts(measurements, train, test, held, len(terms)),
        time=measurements.time,
        states=measurements.states,
        units=measurements.units,
        equations=str(found.equations.rounded(4)),
        latex=found.equations.latex(),
        python=found.equations.python(),
        terms=_terms(found, drawn, known, measurements),
        coverage=coverage,
        simulations=search.simulations,
        checks=checks,
        warnings=measurements.warnings,
        shown=shown,
        training=tuple(np.asarray(states[:length]) for states, length in zip(found.states, train.lengths, strict=True)),
        remainder=held.remainder,
        noise=held.noise,
        paths=_paths(found, measurements.states),
        command=command,
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
) -> Shown:
    """Return the first held-out record, and forecasts of the whole of it."""
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
    measurements: Measurements, train: Trajectories, test: Trajectories, held: HeldOut, candidates: int
) -> dict[str, str]:
    noise = ", ".join(
        f"{name} {noise:.2g} ({100 * noise / deviation:.2g} %)"
        for name, noise, deviation in zip(measurements.states, held.noise, positive(held.deviation), strict=True)
    )
    return {
        "Found on": f"{len(train.lengths)} records, {sum(train.lengths):,} samples",
        "Tried on": f"{len(test.lengths)} records, {sum(test.lengths):,} samples",
        "Candidate terms": str(candidates),
        "Noise of a sample (of the standard deviation)": noise,
    }


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
