"""Equations of ten chaotic systems from noisy trajectories, and how long they forecast."""

import functools
import statistics
from collections.abc import Callable, Iterator
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import sympy
from jaxtyping import Array, Float

from benchmarks import environment, units
from benchmarks.dynamics import dynamics
from benchmarks.row import Benchmark, Measured, Row
from jaxkd.dynamics import identify, polynomials
from jaxkd.dynamics.identification.simulate import simulate
from jaxkd.dynamics.solvers.solve import ACCURATE
from jaxkd.dynamics.systems.chaotic import ChaoticSystem, chaotic, ten

LEVEL = 0.01
"""Noise, as a share of each state's standard deviation."""
SEEDS, QUICK = dynamics.SEEDS[:20], 1
"""Seeds of the figures.  No setting was chosen on any of these systems."""

TESTS, TEST_SEED = 16, 1000
"""Number and seed of the states on the attractor at which forecasts begin, the same for all seeds."""
HORIZON = 15
"""Length of the forecasts, in Lyapunov times."""
VALID = 0.4
"""Largest error of a valid forecast, in standard deviations, root mean square over the states."""

Simulations: TypeAlias = Callable[[Float[Array, "terms states"]], Float[Array, "tests times states"]]
"""Function from the coefficients of a library to simulations from the test states."""


def measure(quick: bool) -> Measured:
    """Measure shares of correct equations, errors of coefficients and valid prediction times, twenty seeds; quick: one.

    Raises:
        ValueError: dysts is not installed.
    """
    seeds = SEEDS[:QUICK] if quick else SEEDS
    try:
        names = ten()
    except ModuleNotFoundError as error:
        raise ValueError(f"This benchmark needs what is not installed: {error}") from error
    with jax.enable_x64(True):
        rows = [row for name in names for row in _rows(chaotic(name), seeds)]
    return Measured(rows=tuple(rows), environment=environment.here("dysts"))


BENCHMARK = Benchmark(
    name="chaotic", summary="equations of ten chaotic systems and how long they forecast", measure=measure
)


def library(one: ChaoticSystem) -> tuple[sympy.Expr, ...]:
    """Return the products up to degree 3 of up to four states, up to degree 2 of more."""
    states = one.system.equations.states
    return polynomials(states, degree=3 if len(states) <= 4 else 2)


def valid_times(
    forecast: Float[np.ndarray, "tests times states"],
    truth: Float[np.ndarray, "tests times states"],
    times: Float[np.ndarray, " times"],
) -> Float[np.ndarray, " tests"]:
    """Return the first time at which each forecast's error exceeds VALID; the last time if it never does."""
    spread = np.std(truth, axis=(0, 1))
    off = np.sqrt(np.mean(((forecast - truth) / spread) ** 2, axis=2))
    # NaN counts as wrong.
    wrong = ~(off <= VALID)
    return np.where(np.any(wrong, axis=1), times[np.argmax(wrong, axis=1)], times[-1])


def _rows(one: ChaoticSystem, seeds: range) -> Iterator[Row]:
    title = f"{one.system.name}, {LEVEL:.0%} noise"
    tried, valid = zip(*units.each(title, _tried, [(one, seed) for seed in seeds]), strict=True)
    yield Row.share(f"{title}: right terms, of {len(seeds)} seeds", [each.right for each in tried])
    yield Row.share(f"{title}: right terms among the candidates", [each.reached for each in tried])
    yield Row.median(f"{title}: largest relative error of a coefficient", [each.error for each in tried], "")
    yield Row.median(f"{title}: valid prediction, median of {TESTS} states", valid, "Lyapunov times")


def _tried(one: ChaoticSystem, seed: int) -> tuple[dynamics.Tried, float]:
    """Return the identified equations beside the true ones, and the Lyapunov times for which they forecast."""
    system, terms = one.system, library(one)
    measured = dynamics.drawn(system, seed, LEVEL)[1]
    found = identify(measured, system.times(), names=system.equations.states, terms=terms)
    times, simulations, truth = _simulations(one)
    forecast = np.asarray(simulations(jnp.asarray(found.equations.coefficients)))
    valid = statistics.median(valid_times(forecast, truth, times).tolist())
    return dynamics.compared(found, system), one.lyapunov * valid


@functools.cache
def _simulations(
    one: ChaoticSystem,
) -> tuple[Float[np.ndarray, " times"], Simulations, Float[np.ndarray, "tests times states"]]:
    """Return times at the records' sampling interval, the simulator, and its simulations of the true equations."""
    system, terms = one.system, library(one)
    step = system.duration / (system.samples - 1)
    times = step * jnp.arange(1 + round(HORIZON / (one.lyapunov * step)))
    starts = jax.jit(lambda key: system.starts(key, TESTS))(jax.random.key(TEST_SEED))
    run = functools.partial(
        simulate, terms=terms, variables=system.equations.states, deviation=jnp.std(starts, axis=0), solver=ACCURATE
    )
    simulations = jax.jit(lambda table: jax.lax.map(lambda start: run(table, start, times).states, starts))
    truth = simulations(jnp.asarray(system.equations.within(terms).coefficients))
    return np.asarray(times), simulations, np.asarray(truth)
