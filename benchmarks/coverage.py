"""How often the bootstrap's intervals hold the true coefficients of systems whose equations are known."""

import dataclasses
import functools
import statistics
from collections.abc import Iterator

import jax
import numpy as np

from benchmarks import environment
from benchmarks.row import Bar, Benchmark, Measured, Row
from jaxkd.dynamics import SparseFit, bootstrap, identify, polynomials, systems
from jaxkd.dynamics.systems import System

TRAJECTORIES = 16
SEEDS, QUICK = range(200, 300), 5
LEVEL, REPLICATES = 0.9, 200
NOISE = (0.01, 0.05, 0.10)

CALIBRATED = Bar(relation=">=", limit=0.8)
"""Of the intervals of 90 %: below it they say too little of what is not known."""


def measure(quick: bool) -> Measured:
    """Shares of coefficients that lie in their intervals; quick: five seeds."""
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
    name="coverage", summary="how often intervals hold the true coefficients of known systems", measure=measure
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tried:
    """What became of one seed."""

    right: bool
    """Exactly the true terms were chosen."""
    held: tuple[bool, ...]
    """For each coefficient that is true or was chosen, whether its interval holds what is true."""


def _coverage(system: System, level: float, seeds: range) -> Iterator[Row]:
    tried = [_tried(system, seed, level) for seed in seeds]
    title = f"{system.name}, {level:.0%} noise: coefficients within their interval"
    every = [held for one in tried for held in one.held]
    yield Row(figure=f"{title}, of {len(tried)} seeds", value=statistics.mean(every), unit="", bar=CALIBRATED)
    right = [held for one in tried if one.right for held in one.held]
    if right:
        count = sum(one.right for one in tried)
        figure = f"{title}, of the {count} seeds with the right terms"
        yield Row(figure=figure, value=statistics.mean(right), unit="", bar=CALIBRATED)


def _tried(system: System, seed: int, level: float) -> Tried:
    names = system.equations.states
    terms = polynomials(names, degree=3)
    states, noise, draws = jax.random.split(jax.random.key(seed), 3)
    measured = systems.with_noise(_trajectories(system, states), noise, level=level)
    found = identify(measured, system.times(), names=names, terms=terms)
    low, high = (np.asarray(end) for end in _interval(found.fit, draws))
    truth, table = system.equations.within(terms).coefficients, found.equations.coefficients
    held = (low <= truth) & (truth <= high)
    return Tried(
        right=bool(np.array_equal(table != 0, truth != 0)),
        held=tuple(bool(one) for one in held[(table != 0) | (truth != 0)]),
    )


@jax.jit
def _interval(fit: SparseFit, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    return bootstrap(fit, key, replicates=REPLICATES).interval(LEVEL)


@functools.partial(jax.jit, static_argnums=0)
def _trajectories(system: System, key: jax.Array) -> jax.Array:
    return system.trajectories(key, TRAJECTORIES)
