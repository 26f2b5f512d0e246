"""Derivatives and equations from noisy trajectories of systems whose equations are known."""

import functools
import statistics
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import environment
from benchmarks.row import Bar, Benchmark, Measured, Row
from jaxkd.dynamics import fourier_fit, identify, polynomials, systems
from jaxkd.dynamics.systems import System

TRAJECTORIES = 16
SEEDS = range(100, 150)
"""Of reported figures.  Nothing was chosen by them, nor by these two systems at any seed: every choice was made on a
damped oscillator and on the systems of Van der Pol, FitzHugh and Nagumo, and Duffing, seeds 0 to 9."""
QUICK, DERIVATIVE = 5, 10
"""Of those seeds: in a first look, and for derivatives."""

SLOPES = {0.01: Bar(relation="<=", limit=0.04), 0.05: Bar(relation="<=", limit=0.11)}
"""By the noise's share of each state's deviation."""

EQUATIONS = (
    (systems.LOTKA_VOLTERRA, 0.01, Bar(relation=">=", limit=0.9)),
    (systems.LOTKA_VOLTERRA, 0.05, Bar(relation=">=", limit=0.9)),
    (systems.LOTKA_VOLTERRA, 0.10, Bar(relation=">=", limit=0.9)),
    (systems.LORENZ, 0.01, Bar(relation=">=", limit=0.9)),
    (systems.LORENZ, 0.05, None),
)


def measure(quick: bool) -> Measured:
    """Errors of derivatives and shares of right equations; quick: five seeds."""
    with jax.enable_x64(True):
        rows = [*_slopes(QUICK if quick else DERIVATIVE), *_equations(QUICK if quick else len(SEEDS))]
    return Measured(rows=tuple(rows), environment=environment.here())


BENCHMARK = Benchmark(
    name="dynamics", summary="derivatives and equations from noisy trajectories of known systems", measure=measure
)


def _slopes(seeds: int) -> Iterator[Row]:
    """|d - y'| / |y'| over all samples of all trajectories, ends included."""
    for system in (systems.LOTKA_VOLTERRA, systems.LORENZ):
        for level, bar in SLOPES.items():
            errors = [_slope_error(system, seed, level) for seed in SEEDS[:seeds]]
            yield Row.median(f"{system.name}, {level:.0%} noise: error of derivatives", errors, "", bar=bar)


def _slope_error(system: System, seed: int, level: float) -> float:
    clean, measured = _drawn(system, seed, level)
    off = _derivatives()(measured, system.times()) - system.slopes(clean)
    return float(jnp.linalg.norm(off) / jnp.linalg.norm(system.slopes(clean)))


def _equations(seeds: int) -> Iterator[Row]:
    """The share of seeds at which exactly the right terms are found, of 20 or 10 in each equation."""
    for system, level, bar in EQUATIONS:
        names = system.equations.states
        terms = polynomials(names, degree=3)
        truth = system.equations.within(terms).coefficients
        right, errors = [], []
        for seed in SEEDS[:seeds]:
            found = identify(_drawn(system, seed, level)[1], system.times(), names=names, terms=terms)
            table = found.equations.coefficients
            right.append(bool(np.array_equal(table != 0, truth != 0)))
            errors.append(float(np.max(np.abs(table - truth)[truth != 0] / np.abs(truth)[truth != 0])))
        title = f"{system.name}, {level:.0%} noise"
        yield Row(figure=f"{title}: right terms, of {seeds} seeds", value=statistics.mean(right), unit="", bar=bar)
        yield Row.median(f"{title}: largest relative error of a coefficient", errors, "")


def _drawn(system: System, seed: int, level: float) -> tuple[jax.Array, jax.Array]:
    """Trajectories, clean and measured."""
    states, noise = jax.random.split(jax.random.key(seed))
    clean = _trajectories(system)(states)
    return clean, systems.with_noise(clean, noise, level=level)


@functools.cache
def _trajectories(system: System) -> Callable[[jax.Array], jax.Array]:
    return jax.jit(lambda key: system.trajectories(key, TRAJECTORIES))


@functools.cache
def _derivatives() -> Callable[[jax.Array, jax.Array], jax.Array]:
    def one(states: jax.Array, times: jax.Array) -> jax.Array:
        return fourier_fit(states, times).at(times, derivative=1)

    return jax.jit(jax.vmap(one, in_axes=(0, None)))
