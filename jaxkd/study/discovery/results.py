"""Results of a search in the user's names and units, for the page and the terminal."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxkd.data.trajectories.measurements import Measurements, Record
from jaxkd.dynamics import Bootstrap, Equations, Identified, values
from jaxkd.dynamics.derivatives.trajectories import Trajectories
from jaxkd.dynamics.identification.second_order import first_order_table
from jaxkd.dynamics.identification.simulate import forecasts, positive
from jaxkd.dynamics.validation.bands import forecast_band
from jaxkd.dynamics.validation.discovered import FoundTerm, Shown, SparsityPath
from jaxkd.dynamics.validation.held_out import HeldOut, scales, start_of
from jaxkd.study.discovery.notation import Notation
from jaxkd.typing import Key

LEVEL = 0.9
"""Level of intervals and bands."""


def shown(
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
    order, system = found.order, found.system
    smooth, slopes, *further = (curve.at(times, derivative=derivative) for derivative in range(order + 1))
    given = ([slopes] if order == 2 else []) + ([] if inputs is None else [inputs])
    variables = jnp.concatenate([smooth, *given], axis=1)
    predicted = values(found.equations.terms, found.equations.variables)(variables) @ found.equations.coefficients
    options = {
        "terms": system.terms,
        "variables": system.variables,
        "deviation": jnp.asarray(scales(held.curves, test, order=order)),
    }
    start, table = start_of(curve, times[0], order=order), jnp.asarray(system.coefficients)
    (forecast,) = np.asarray(forecasts(table[None], start[None], times, inputs, **options))
    low, high = forecast_band(
        _draws(found, drawn, known), curve, times, inputs, key=key, tail=drawn.tail(LEVEL), **options
    )
    forecast, low, high = (states[:, : smooth.shape[1]] for states in (forecast, low, high))
    return Shown(
        source=record.source,
        unseen=unseen,
        times=record.times,
        measured=record.states,
        slopes=np.asarray(slopes),
        left_hand_sides=np.asarray(further[0] if order == 2 else slopes),
        right_hand_sides=np.asarray(predicted),
        forecast=np.where(np.isfinite(forecast), forecast, np.nan),
        low=low,
        high=high,
    )


def _draws(found: Identified, drawn: Bootstrap, known: Equations | None) -> Float[Array, "draws terms states"]:
    """Return bootstrap coefficients of the system to solve; known ones are the same in each replicate."""
    further = len(found.equations.terms) - drawn.coefficients.shape[1]
    tables = jnp.pad(drawn.coefficients, ((0, 0), (0, further), (0, 0)))
    if known is not None:
        tables = tables + known.within(found.equations.terms).coefficients[None]
    if found.order == 1:
        return tables
    speeds = found.equations.inputs[: len(found.equations.states)]
    return jnp.asarray(first_order_table(np.asarray(tables), found.system.terms, speeds))


def facts(
    measurements: Measurements, train: Trajectories, test: Trajectories | None, held: HeldOut, candidates: int
) -> dict[str, str]:
    """Return the facts for the head of the page."""
    noise = ", ".join(
        f"{name} {noise:.2g} ({100 * noise / deviation:.2g} %)"
        for name, noise, deviation in zip(measurements.labels, held.noise, positive(held.deviation), strict=True)
    )
    found = {
        "Found on": counted(train),
        "Tried on": "the same" if test is None else counted(test),
        "Candidate terms": str(candidates),
        "Noise of a sample (of the standard deviation)": noise,
    }
    if measurements.delay:
        first = next(name for name in measurements.states if name.endswith("_delay1"))
        ago = f"{measurements.delay:g} {measurements.units.get(measurements.time, '')}".rstrip()
        found["Delay coordinates"] = f"{first} is {first.removesuffix('_delay1')} {ago} before"
    return found


def counted(records: Trajectories) -> str:
    """Return the numbers of records and samples in words."""
    count = len(records.lengths)
    return f"{count} {'record' if count == 1 else 'records'}, {sum(records.lengths):,} samples"


def terms(found: Identified, drawn: Bootstrap, known: Equations | None, notation: Notation) -> tuple[FoundTerm, ...]:
    """Return the terms of each equation, with their intervals and units."""
    low, high = (np.asarray(end) for end in drawn.interval(LEVEL))
    support, inclusion = np.asarray(found.fit.support), np.asarray(drawn.inclusion)
    given = None if known is None else known.within(found.equations.terms).coefficients
    rows: list[FoundTerm] = []
    for column, label in enumerate(notation.labels):
        for row, term in enumerate(found.equations.terms):
            value = float(found.equations.coefficients[row, column])
            found_term = FoundTerm(
                state=label,
                term=str(notation.display(term)),
                coefficient=value,
                low=value,
                high=value,
                inclusion=None,
                unit=notation.unit(term, column),
            )
            if given is not None and given[row, column]:
                rows.append(found_term)
            elif row < len(support) and support[row, column]:
                ends = float(low[row, column]), float(high[row, column])
                share = float(inclusion[row, column])
                rows.append(dataclasses.replace(found_term, low=ends[0], high=ends[1], inclusion=share))
    return tuple(rows)


def paths(found: Identified, names: Sequence[str]) -> tuple[SparsityPath, ...]:
    """Return the errors of the candidates for each state."""
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
