"""Derivatives and equations from noisy trajectories of systems with known equations."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import environment, units
from benchmarks.row import Bar, Benchmark, Measured, Row
from jaxkd.dynamics import Identified, fourier_fit, identify, polynomials, systems
from jaxkd.dynamics.systems import System

TRAJECTORIES = 16
SEEDS = range(100, 150)
"""Seeds of reported figures.  Every number was chosen on a damped oscillator and on the systems of Van der Pol,
FitzHugh and Nagumo, and Duffing, seeds 0 to 9.  Results here led to two of the steps, as docs/dynamics.md reports."""
QUICK, DERIVATIVE = 5, 10
"""Number of those seeds in a quick look, and for derivatives."""

SLOPES = {0.01: Bar(relation="<=", limit=0.04), 0.05: Bar(relation="<=", limit=0.11)}
"""Bounds by the noise, as a share of each state's standard deviation."""

RIGHT = Bar(relation=">=", limit=0.9)
OF_CEILING = Bar(relation=">=", limit=0.8)
"""Bound relative to the seeds at which the correct terms are a candidate in every equation, whatever the rule takes."""
EQUATIONS = (
    (systems.LOTKA_VOLTERRA, 0.01, RIGHT),
    (systems.LOTKA_VOLTERRA, 0.05, RIGHT),
    (systems.LOTKA_VOLTERRA, 0.10, RIGHT),
    (systems.LORENZ, 0.01, RIGHT),
    (systems.LORENZ, 0.05, None),
)

CHOSEN_ON = (systems.DAMPED_OSCILLATOR, systems.VAN_DER_POL, systems.FITZHUGH_NAGUMO, systems.DUFFING)
CHOSEN_BY, CHOSEN_AT = range(10), (0.0, 0.01, 0.05, 0.10)
"""Seeds and noise of the choices."""
LONGER, LONG = 6, 2
"""Factor of the duration, and number of such trajectories: nearly as many samples, in fewer and longer records."""


def measure(quick: bool) -> Measured:
    """Measure errors of derivatives and shares of correct equations; quick: five seeds, only the reported systems."""
    with jax.enable_x64(True):
        rows = [*_slopes(QUICK if quick else DERIVATIVE), *_equations(QUICK if quick else len(SEEDS))]
        rows += [] if quick else _development()
    return Measured(rows=tuple(rows), environment=environment.here())


BENCHMARK = Benchmark(
    name="dynamics", summary="derivatives and equations from noisy trajectories of known systems", measure=measure
)


def _slopes(seeds: int) -> Iterator[Row]:
    """Yield |d - y'| / |y'| over all samples of all trajectories, ends included."""
    for system in (systems.LOTKA_VOLTERRA, systems.LORENZ):
        for level, bar in SLOPES.items():
            title = f"{system.name}, {level:.0%} noise: error of derivatives"
            errors = units.each(title, _slope_error, [(system, seed, level) for seed in SEEDS[:seeds]])
            yield Row.median(title, errors, "", bar=bar)


def _slope_error(system: System, seed: int, level: float) -> float:
    clean, measured = drawn(system, seed, level)
    exact = system.slopes(clean)
    off = _derivatives()(measured, system.times()) - exact
    return float(jnp.linalg.norm(off) / jnp.linalg.norm(exact))


def _equations(seeds: int) -> Iterator[Row]:
    """Yield the share of seeds at which exactly the correct terms are found, of 20 or 10 in each equation."""
    for system, level, bar in EQUATIONS:
        tried = _tried(system, SEEDS[:seeds], level)
        title, share = f"{system.name}, {level:.0%} noise", f", of {seeds} seeds"
        right = Row.share(f"{title}: right terms{share}", [one.right for one in tried], bar=bar)
        reached = Row.share(f"{title}: right terms among the candidates{share}", [one.reached for one in tried])
        yield from (right, reached)
        if bar is None and reached.value:
            ratio = right.value / reached.value
            yield Row(figure=f"{title}: the one of the other", value=ratio, unit="", bar=OF_CEILING)
        without = _tried(system, SEEDS[:seeds], level, rounds=0)
        yield Row.share(f"{title}: right terms without rounds{share}", [one.right for one in without])
        yield Row.median(f"{title}: largest relative error of a coefficient", [one.error for one in tried], "")


def _development() -> Iterator[Row]:
    for system in CHOSEN_ON:
        for level in CHOSEN_AT:
            title = f"{system.name}, {level:.0%} noise: right terms, of the {len(CHOSEN_BY)} seeds of the choices"
            yield Row.share(title, [one.right for one in _tried(system, CHOSEN_BY, level)])
        long = dataclasses.replace(system, duration=LONGER * system.duration, samples=LONGER * (system.samples - 1) + 1)
        for level in CHOSEN_AT[1:3]:
            title = f"{system.name}, {level:.0%} noise, {LONG} records of {LONGER} times the length: right terms"
            yield Row.share(title, [one.right for one in _tried(long, CHOSEN_BY, level, count=LONG)])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tried:
    """Result at one seed."""

    right: bool
    reached: bool
    error: float
    """Largest relative error of a true coefficient; 1 if the term was not found."""


def _tried(
    system: System, seeds: Sequence[int], level: float, *, rounds: int = 2, count: int = TRAJECTORIES
) -> list[Tried]:
    title = f"{system.name}, {level:.0%} noise, {rounds} rounds, {count} records"
    return units.each(title, identified, [(system, seed, level, rounds, count) for seed in seeds])


def identified(system: System, seed: int, level: float, rounds: int = 2, count: int = TRAJECTORIES) -> Tried:
    """Return the result of `identify` on the measured trajectories of a seed."""
    names = system.equations.states
    terms = polynomials(names, degree=3)
    found = identify(drawn(system, seed, level, count)[1], system.times(), names=names, terms=terms, rounds=rounds)
    return compared(found, system)


def compared(found: Identified, system: System) -> Tried:
    """Compare the identified equations with the true ones."""
    table, truth = found.equations.coefficients, system.equations.within(found.equations.terms).coefficients
    off = np.abs(table - truth)[truth != 0] / np.abs(truth)[truth != 0]
    return Tried(
        right=bool(np.array_equal(table != 0, truth != 0)),
        reached=bool(np.all(np.any(np.all(found.fit.candidates == (truth != 0).T[:, None], axis=2), axis=1))),
        error=float(np.max(off)),
    )


def drawn(system: System, seed: int, level: float, count: int = TRAJECTORIES) -> tuple[jax.Array, jax.Array]:
    """Return the trajectories, clean and measured."""
    clean, noise = _clean(system, seed, count)
    return clean, systems.with_noise(clean, noise, level=level)


@functools.cache
def _clean(system: System, seed: int, count: int) -> tuple[jax.Array, jax.Array]:
    """Return the trajectories, which every noise level shares, and the key of the noise."""
    states, noise = jax.random.split(jax.random.key(seed))
    return _trajectories(system, count)(states), noise


@functools.cache
def _trajectories(system: System, count: int) -> Callable[[jax.Array], jax.Array]:
    return jax.jit(lambda key: system.trajectories(key, count))


@functools.cache
def _derivatives() -> Callable[[jax.Array, jax.Array], jax.Array]:
    def one(states: jax.Array, times: jax.Array) -> jax.Array:
        return fourier_fit(states, times).at(times, derivative=1)

    return jax.jit(jax.vmap(one, in_axes=(0, None)))
