"""Success rate of symbolic networks on equations of known systems, beside a library of terms on the same records."""

import functools
from collections.abc import Callable, Iterator

import jax

from benchmarks import environment, units
from benchmarks.row import Benchmark, Measured, Row
from jaxkd.dynamics import EQL, Equations, FourierSlopes, SymNet, identify, polynomials, symbolic_search, systems
from jaxkd.dynamics.derivatives.trajectories import trajectories
from jaxkd.dynamics.systems import System

SYSTEMS = (systems.DAMPED_OSCILLATOR, systems.VAN_DER_POL, systems.FITZHUGH_NAGUMO, systems.DUFFING)
"""Systems, on which the settings of the search were chosen too."""

TRAJECTORIES = 8
SEEDS, QUICK = range(5), 1
NOISE = (0.01, 0.05)
Finder = Callable[[System, jax.Array, int], Equations]


def measure(quick: bool) -> Measured:
    """Count the seeds whose terms are exactly the true ones; quick: one seed."""
    seeds = SEEDS[:QUICK] if quick else SEEDS
    with jax.enable_x64(True):
        rows = [row for level in NOISE for system in SYSTEMS for row in _rows(system, level, seeds)]
    return Measured(rows=tuple(rows), environment=environment.here())


BENCHMARK = Benchmark(
    name="symbolic_networks",
    summary="how often symbolic networks find the right terms, beside a library",
    measure=measure,
)


def _rows(system: System, level: float, seeds: range) -> Iterator[Row]:
    for way in FINDERS:
        figure = f"{system.name}, {level:.0%} noise: right terms by {way}"
        right = units.each(figure, _right, [(way, system, level, seed) for seed in seeds])
        yield Row(figure=figure, value=sum(right), unit=f"of {len(seeds)}")


@functools.partial(jax.jit, static_argnums=0)
def _clean(system: System, key: jax.Array) -> jax.Array:
    return system.trajectories(key, TRAJECTORIES)


def _records(system: System, level: float, seed: int) -> jax.Array:
    return systems.with_noise(_clean(system, jax.random.key(seed)), jax.random.key(1000 + seed), level=level)


def _searched(network: SymNet | EQL, restarts: int) -> Finder:
    def found(system: System, records: jax.Array, seed: int) -> Equations:
        names = system.equations.states
        given = trajectories(records, system.times(), None, None, names=names, input_names=())
        smooth, slopes = FourierSlopes()(given)
        key = jax.random.key(seed)
        return symbolic_search(network, smooth, slopes, key, states=names, restarts=restarts).equations

    return found


def _identified(system: System, records: jax.Array, seed: int) -> Equations:
    names = system.equations.states
    return identify(records, system.times(), names=names, terms=polynomials(names, degree=4)).equations


FINDERS: dict[str, Finder] = {
    "the library of degree 4": _identified,
    "SymNet, 16 starts": _searched(SymNet(), 16),
    "SymNet, 1 start": _searched(SymNet(), 1),
    "EQL, 16 starts": _searched(EQL(), 16),
}


def _right(way: str, system: System, level: float, seed: int) -> bool:
    return same_terms(FINDERS[way](system, _records(system, level, seed), seed), system)


def same_terms(found: Equations, system: System) -> bool:
    """Whether the identified equations have exactly the terms of the system."""
    terms = tuple(dict.fromkeys((*found.terms, *system.equations.terms)))
    there, true = (one.within(terms).coefficients != 0 for one in (found, system.equations))
    return bool((there == true).all())
