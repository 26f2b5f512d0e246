"""Coverage of true coefficients by intervals, and of true states by bands, on systems with known equations."""

import dataclasses
import functools
import statistics
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import environment, units
from benchmarks.row import Bar, Benchmark, Measured, Row
from jaxkd.dynamics import FourierFit, bootstrap, fourier_fit, identify, polynomials, systems
from jaxkd.dynamics.systems import System
from jaxkd.dynamics.validation.bands import forecast_band
from jaxkd.dynamics.validation.calibration import within_intervals

TRAJECTORIES = 16
SEEDS, QUICK = range(200, 300), 5
LEVEL, REPLICATES = 0.9, 200
NOISE = (0.01, 0.05, 0.10)

CALIBRATED = Bar(relation=">=", limit=0.8)
"""Bound on the coverage of 90 % intervals: below it, they understate the uncertainty."""


def measure(quick: bool) -> Measured:
    """Measure shares of coefficients in their intervals and of states in their bands; quick: five seeds."""
    seeds = SEEDS[:QUICK] if quick else SEEDS
    with jax.enable_x64(True):
        rows = [
            row
            for system in (systems.LOTKA_VOLTERRA, systems.LORENZ)
            for level in NOISE
            for row in _coverage(system, level, seeds)
        ]
    return Measured(rows=tuple(rows), environment=environment.here())


BENCHMARK = Benchmark(
    name="coverage", summary="how often intervals hold true coefficients, and bands true states", measure=measure
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tried:
    """Result at one seed."""

    right: bool
    """Whether exactly the true terms were chosen."""
    held: tuple[bool, ...]
    """Whether the interval holds the true value, for each coefficient that is true or was chosen."""
    within: tuple[bool, ...]
    """Whether the band holds the state, for each sample and state of a held-out record."""


def _coverage(system: System, level: float, seeds: range) -> Iterator[Row]:
    every = units.each(f"{system.name}, {level:.0%} noise", _tried, [(system, seed, level) for seed in seeds])
    right = [one for one in every if one.right]
    for tried, seeds_of in (
        (every, f"of {len(every)} seeds"),
        (right, f"of the {len(right)} seeds with the right terms"),
    ):
        for figure, held in (
            ("coefficients within their interval", [held for one in tried for held in one.held]),
            ("states within their band", [held for one in tried for held in one.within]),
        ):
            title = f"{system.name}, {level:.0%} noise: {figure}, {seeds_of}"
            if tried:
                yield Row(figure=title, value=statistics.mean(held), unit="", bar=CALIBRATED)


def _tried(system: System, seed: int, level: float) -> Tried:
    names = system.equations.states
    terms = polynomials(names, degree=3)
    states, noise, draws = jax.random.split(jax.random.key(seed), 3)
    # One trajectory more than the equations are identified from, for the band.
    clean = _trajectories(system, states)
    measured = systems.with_noise(clean, noise, level=level)
    found = identify(measured[1:], system.times(), names=names, terms=terms)
    drawn = bootstrap(found.fit, draws, replicates=REPLICATES)
    truth, table = system.equations.within(terms).coefficients, found.equations.coefficients
    below, above = forecast_band(
        drawn.coefficients,
        _curve(measured[0], system.times()),
        system.times(),
        key=jax.random.fold_in(draws, 1),
        terms=terms,
        variables=names,
        deviation=jnp.std(measured, axis=(0, 1)),
        tail=drawn.tail(LEVEL),
    )
    return Tried(
        right=bool(np.array_equal(table != 0, truth != 0)),
        held=tuple(within_intervals(found.fit, drawn, truth, level=LEVEL).tolist()),
        within=tuple(((below <= clean[0]) & (clean[0] <= above)).ravel().tolist()),
    )


@jax.jit
def _curve(samples: jax.Array, times: jax.Array) -> FourierFit:
    return fourier_fit(samples, times)


@functools.partial(jax.jit, static_argnums=0)
def _trajectories(system: System, key: jax.Array) -> jax.Array:
    return system.trajectories(key, TRAJECTORIES + 1)
