"""Correct terms found by `identify` and by PySINDy in the same noisy records of known systems."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from benchmarks import environment, units
from benchmarks.dynamics import dynamics, pysindy_fits
from benchmarks.dynamics.pysindy_fits import Method, differences, windows
from benchmarks.row import Bar, Benchmark, Measured, Row
from jaxkd.dynamics.identification.sparse_fit import one_standard_error
from jaxkd.dynamics.systems import System

SEEDS, QUICK = dynamics.SEEDS, 5
"""Seeds of the figures.  The settings below were chosen on the same systems as those of `identify`, seeds 0 to 3."""

SIDES: Mapping[str, Method] = {
    "differences": differences(order=4),
    "smoothed by 5": differences(window=5),
    "smoothed by 11": differences(window=11),
    "windows": windows(),
}
"""Methods that compute terms and slopes, or integrals of both."""

NO_WORSE = Bar(relation=">", limit=0.05)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to use PySINDy."""

    method: str
    sides: str
    """Key in `SIDES`."""
    ensemble: bool = False

    def __str__(self) -> str:
        return f"PySINDy {self.method}, {self.sides}"


VARIANTS = (
    *(Variant(method="STLSQ", sides=sides) for sides in ("differences", "smoothed by 5", "smoothed by 11")),
    *(Variant(method="ensemble", sides=sides, ensemble=True) for sides in ("smoothed by 5", "smoothed by 11")),
    Variant(method="weak form", sides="windows"),
    Variant(method="weak ensemble", sides="windows", ensemble=True),
)


def least(
    candidates: Bool[np.ndarray, "thresholds states terms"], errors: Float[np.ndarray, "thresholds states folds"]
) -> Int[np.ndarray, " states"]:
    """Return the threshold of each equation with the least held-out error."""
    return np.argmin(np.mean(errors, axis=2), axis=0)


def sparsest(
    candidates: Bool[np.ndarray, "thresholds states terms"], errors: Float[np.ndarray, "thresholds states folds"]
) -> Int[np.ndarray, " states"]:
    """Return each equation's threshold with fewest terms within one standard error of the least, as `identify` does.

    Ties go to the larger threshold.
    """
    thresholds, states, _ = candidates.shape
    chosen = np.empty(states, int)
    for state in range(states):
        order = np.lexsort((-np.arange(thresholds), np.sum(candidates[:, state], axis=1)))
        chosen[state] = order[int(one_standard_error(jnp.asarray(errors[order, state])))]
    return chosen


RULES: Mapping[str, Callable[..., np.ndarray]] = {"one standard error": sparsest, "least error": least}


def measure(quick: bool) -> Measured:
    """Measure shares of correct equations at fifty seeds; quick: five."""
    pysindy_fits.require()
    seeds = SEEDS[:QUICK] if quick else SEEDS
    with jax.enable_x64(True):
        rows = [row for system, level, _ in dynamics.EQUATIONS for row in _rows(system, level, seeds)]
    return Measured(rows=tuple(rows), environment=environment.here("scipy", "pysindy", "scikit-learn"))


BENCHMARK = Benchmark(name="pysindy", summary="right equations by identify and by PySINDy", measure=measure)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tried:
    """Result at one seed."""

    ours: bool
    """Whether `identify` found exactly the correct terms."""
    theirs: Mapping[tuple[Variant, str], bool]
    """Whether PySINDy did, by the variant and the rule that chooses its thresholds."""
    right: Mapping[Variant, Bool[np.ndarray, "thresholds states"]]
    """Mask of the thresholds that give exactly the correct terms of each equation."""


def _tried(system: System, level: float, seed: int) -> Tried:
    states, times = np.asarray(dynamics.drawn(system, seed, level)[1]), np.asarray(system.times())
    names = system.equations.states
    truth = (system.equations.within(pysindy_fits.terms(names)).coefficients != 0).T
    sides = {name: take(states, times) for name, take in SIDES.items()}
    errors = {name: pysindy_fits.held_out(both) for name, both in sides.items()}
    theirs, right = {}, {}
    for one in VARIANTS:
        # An ensemble's members are fits like the validated ones; validating twenty of each would take hours.
        table = pysindy_fits.coefficients(sides[one.sides], ensemble_seed=seed if one.ensemble else None)
        right[one] = np.all((table != 0) == truth, axis=2)
        for rule, choose in RULES.items():
            chosen = choose(table != 0, errors[one.sides])
            theirs[one, rule] = bool(np.all(right[one][chosen, np.arange(len(truth))]))
    return Tried(ours=dynamics.identified(system, seed, level).right, theirs=theirs, right=right)


def _rows(system: System, level: float, seeds: Sequence[int]) -> Iterator[Row]:
    title = f"{system.name}, {level:.0%} noise"
    tried = units.each(title, _tried, [(system, level, seed) for seed in seeds])
    ours = [one.ours for one in tried]
    yield Row.share(f"{title}: right terms, identify, of {len(seeds)} seeds", ours)
    validated = {key: [one.theirs[key] for one in tried] for key in tried[0].theirs}
    for (variant, rule), outcomes in validated.items():
        yield Row.share(f"{title}: {variant}, {rule}", outcomes)
    for method in dict.fromkeys(one.method for one in VARIANTS):
        right = {one: np.stack([seed.right[one] for seed in tried]) for one in VARIANTS if one.method == method}
        any_of_them = np.any(np.concatenate(list(right.values()), axis=1), axis=1)
        yield Row.share(f"{title}: PySINDy {method}, any setting in each equation", list(np.all(any_of_them, axis=1)))
        alone = {
            f"{one.sides}, threshold {threshold:.2g}": list(np.all(table[:, position], axis=1))
            for one, table in right.items()
            for position, threshold in enumerate(pysindy_fits.THRESHOLDS)
        }
        best = max(alone, key=lambda setting: sum(alone[setting]))
        yield Row.share(f"{title}: PySINDy {method}, the best setting in hindsight ({best})", alone[best])
    variant, rule = max(validated, key=lambda key: sum(validated[key]))
    theirs = validated[variant, rule]
    figure = f"{title}: identify less the best validated ({variant}, {rule})"
    yield Row(figure=figure, value=float(np.mean(ours) - np.mean(theirs)), unit="")
    yield Row(
        figure=f"{title}: p of as few seeds, were identify no worse",
        value=p_no_worse(ours, theirs),
        unit="",
        bar=NO_WORSE,
    )


def p_no_worse(ours: Sequence[bool], theirs: Sequence[bool]) -> float:
    """Return the probability of so few wins of ours, among the seeds where only one is right, if neither were better.

    McNemar's exact test, one-sided; 1 if there are no such seeds.
    """
    from scipy.stats import binomtest

    wins = sum(one and not other for one, other in zip(ours, theirs, strict=True))
    losses = sum(other and not one for one, other in zip(ours, theirs, strict=True))
    return float(binomtest(wins, wins + losses, alternative="less").pvalue) if wins + losses else 1.0
