"""Time until the fields of FNODE, and of methods that train through the solver, reach targets that were set before.

Seconds count training steps and the estimation of FNODE's slopes, neither compiling nor measuring.  A field depends
only on its number of steps, so the seconds of a step are measured separately, with all methods in turn.
"""

import contextlib
import dataclasses
import functools
import itertools
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import jax

from benchmarks import environment, units
from benchmarks.dynamics import field_run
from benchmarks.row import Bar, Benchmark, Measured, Row
from jaxkd.data.trajectories import SimulatedTrajectories, TrajectorySource
from jaxkd.dynamics import systems
from jaxkd.dynamics.systems import System
from jaxkd.evals.dynamics import FieldError, RolloutError
from jaxkd.recipes.fnode import FNODE
from jaxkd.recipes.multiple_shooting import MultipleShooting
from jaxkd.recipes.neural_ode import NeuralODE
from jaxkd.training import Evaluator, Optimizer, Train
from jaxkd.vector_fields import AdaptiveSteps, FixedSteps, Phase
from jaxkd.vector_fields.recipe import FieldRecipe
from jaxkd.vector_fields.shooting import Integrator

NOISE = 0.01
TARGETS: tuple[tuple[System, tuple[float, ...]], ...] = (
    (systems.LOTKA_VOLTERRA, (0.10, 0.05, 0.03)),
    (systems.LORENZ, (0.25, 0.15, 0.10)),
)
"""Relative L2 errors of the field at clean test states, the loosest first."""

SEEDS, QUICK = range(100, 105), 1
TUNED_AT = 0
"""Seed of the records on which sizes and rates are chosen, by forecasts of noisy validation records."""

STEPS = 4000
"""Steps of FNODE."""
TUNING, LONGER = 3.0, 10.0
"""Time of a trial of any method, and of a run through the solver, relative to that of FNODE's steps."""
POINTS = 50
"""Points of a curve in that time: the same for all, since a target counts as reached at the first point within it."""
WITHIN = tuple(2.0**power for power in range(-4, 4))
"""Times at which the curves are reported, relative to that time."""

RATES = (1e-3, 3e-3, 1e-2)
HORIZONS = (5, 20)
"""Lengths of the forecasts, in samples."""
ROUNDS, TIMED = 5, 500
"""Runs that time a step, of each method and size in turn, and the steps of each: enough for an adaptive solver to meet
a learnt field.  Each round begins with FNODE's slopes."""

PIECES = 8
"""Pieces of a validation record: short forecasts measure the field more and the phase less."""

AHEAD = Bar(relation=">=", limit=10.0)


def measure(quick: bool) -> Measured:
    """Measure seconds to each target at five seeds; quick: one, with a hundredth of the steps and no tuning."""
    with jax.enable_x64(True):
        # First, so that the machine need not stay idle for longer.
        timed = [units.kept(_costs, _records(system, TUNED_AT), 1 if quick else ROUNDS) for system, _ in TARGETS]
        rows = [
            row
            for (system, targets), costs in zip(TARGETS, timed, strict=True)
            for row in _rows(system, targets, costs, quick=quick)
        ]
    return Measured(rows=tuple(rows), environment=environment.here())


BENCHMARK = Benchmark(
    name="time_to_target", summary="FNODE's time to a good field, beside learning through the solver", measure=measure
)


Recipes: TypeAlias = Mapping[str, FieldRecipe]
"""A method in two sizes, by name."""


def _matching(data: TrajectorySource) -> Recipes:
    return {f"batches of {rows}": FNODE(data=data, rows=rows) for rows in (256, 1024)}


def _forecasting(integrator: Integrator, data: TrajectorySource) -> Recipes:
    phases = {horizon: Phase(steps=1, horizon=horizon, integrator=integrator) for horizon in HORIZONS}
    return {_pieces(horizon): NeuralODE(data=data, rows=64, phases=(phase,)) for horizon, phase in phases.items()}


def _joining(data: TrajectorySource) -> Recipes:
    return {_pieces(horizon): MultipleShooting(data=data, rows=64, horizon=horizon) for horizon in HORIZONS}


def _pieces(horizon: int) -> str:
    return f"pieces of {horizon} samples"


FAST, SOLVED, THEN = "FNODE", "NeuralODE, RK4", "FNODE, then NeuralODE"
METHODS: Mapping[str, Callable[[TrajectorySource], Recipes]] = {
    FAST: _matching,
    SOLVED: functools.partial(_forecasting, FixedSteps()),
    "NeuralODE, Tsit5": functools.partial(_forecasting, AdaptiveSteps()),
    "multiple shooting": _joining,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """Hyper-parameters of a method."""

    method: str
    size: str
    rate: float

    def recipe(self, data: TrajectorySource) -> FieldRecipe:
        """Return the recipe on these records."""
        return METHODS[self.method](data)[self.size]

    def train(self, data: TrajectorySource, steps: int) -> Train:
        """Return a run whose result at any step counts: a constant rate, and an average of the weights."""
        return Train(
            name="run",
            recipe=self.recipe(data),
            steps=steps,
            optimizer=Optimizer(learning_rate=self.rate, schedule="constant"),
            ema_decay=0.99,
            log_every=max(steps // 100, 1),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Costs:
    """Seconds on one system, independent of the values in its records."""

    slopes: float
    """Seconds to estimate the slopes of all records, before FNODE's first step."""
    steps: Mapping[tuple[str, str], float]
    """Seconds of a step by method and size."""

    def step(self, setting: Setting) -> float:
        """Return the seconds of one step."""
        return self.steps[setting.method, setting.size]


def _costs(data: TrajectorySource, rounds: int) -> Costs:
    settings = [one for method in METHODS for one in _trials(method, data) if one.rate == RATES[0]]
    slopes: list[float] = []
    steps: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        slopes.append(_slope_seconds(settings[0].recipe(data)))
        for setting in settings:
            # Writing a row takes part of the next step's time, so few are written.
            train = dataclasses.replace(setting.train(data, TIMED), log_every=5)
            with tempfile.TemporaryDirectory() as folder:
                field_run.run(train, Path(folder), seed=0)
                steps.setdefault((setting.method, setting.size), []).append(field_run.step_seconds(Path(folder)))
    return Costs(
        slopes=statistics.median(slopes), steps={key: statistics.median(seconds) for key, seconds in steps.items()}
    )


def _slope_seconds(recipe: FieldRecipe) -> float:
    """Return the seconds to estimate the slopes, once compiled."""
    given = recipe.data.trajectories("train")

    def estimate() -> float:
        start = time.perf_counter()
        jax.block_until_ready(recipe.slopes(given))
        return time.perf_counter() - start

    estimate()
    return statistics.median(estimate() for _ in range(3))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curve:
    """Errors of a field during training."""

    before: float
    """Seconds before the first step."""
    step_seconds: float
    steps: int
    errors: Mapping[int, float]
    """Errors by step, as long as the loss was finite."""

    @property
    def seconds(self) -> float:
        """Seconds of the whole run."""
        return self.before + self.steps * self.step_seconds

    @property
    def last(self) -> float:
        """Error at the end; infinite if the loss was not finite to the end."""
        return self.errors.get(self.steps, math.inf)

    def within(self, seconds: float) -> float:
        """Return the least error until then; infinite before the first and after the end, rounded to whole steps."""
        steps = (seconds - self.before) / self.step_seconds
        over = seconds > self.seconds + self.step_seconds
        return math.inf if over else min((e for step, e in self.errors.items() if step <= steps), default=math.inf)

    def until(self, target: float) -> float:
        """Return the seconds until the error is at most the target; infinite if it never is."""
        reached = (step for step, error in sorted(self.errors.items()) if error <= target)
        return self.before + next(reached, math.inf) * self.step_seconds


Curves: TypeAlias = Mapping[str, Sequence[Curve]]
"""Curves by method, one per seed."""


def _rows(system: System, targets: tuple[float, ...], costs: Costs, *, quick: bool) -> Iterator[Row]:
    seeds, steps = (SEEDS[:QUICK], STEPS // 100) if quick else (SEEDS, STEPS)
    records = _records(system, TUNED_AT)
    trials = [_trials(method, records) for method in METHODS]
    settings = [every[0] if quick else _best(every, records, steps, costs) for every in trials]
    learnt = [units.kept(_learnt, settings, _records(system, seed), seed, steps, costs) for seed in seeds]
    curves = {name: [one[name] for one in learnt] for name in learnt[0]}
    yield from _chosen(system, settings, costs)
    yield from _ratios(system, targets, curves)
    for name, found in curves.items():
        yield from _times(f"{system.name}: {name}", targets, found)
        yield from _errors(system, name, found, curves[FAST])


def _records(system: System, seed: int) -> SimulatedTrajectories:
    return SimulatedTrajectories.of(system, noise=NOISE, seed=seed)


def _trials(method: str, data: TrajectorySource) -> list[Setting]:
    sizes = METHODS[method](data)
    return [Setting(method=method, size=size, rate=rate) for size, rate in itertools.product(sizes, RATES)]


def _best(settings: Sequence[Setting], data: TrajectorySource, steps: int, costs: Costs) -> Setting:
    """Return the setting that forecasts noisy validation records best after TUNING times the time of FNODE's steps."""
    seconds = TUNING * steps * min(costs.step(one) for one in _trials(FAST, data))

    def off(setting: Setting) -> float:
        return units.kept(_off, setting, data, max(1, round(seconds / costs.step(setting))))

    return min(settings, key=off)


def _off(setting: Setting, data: TrajectorySource, steps: int) -> float:
    error = RolloutError(data=data, split="validation", pieces=PIECES)
    with tempfile.TemporaryDirectory() as folder:
        errors = _validated(setting.train(data, steps), error, Path(folder), seed=TUNED_AT)
    return errors.get(steps, math.inf)


def _learnt(
    settings: Sequence[Setting], data: TrajectorySource, seed: int, steps: int, costs: Costs
) -> dict[str, Curve]:
    """Return the curve of each method at one seed, and that of FNODE's field trained on through the solver."""
    with tempfile.TemporaryDirectory() as folder:
        return dict(_curves(settings, data, Path(folder), seed, steps, costs))


def _curves(
    settings: Sequence[Setting], data: TrajectorySource, folder: Path, seed: int, steps: int, costs: Costs
) -> Iterator[tuple[str, Curve]]:
    fast, *solving = settings
    whole = costs.slopes + steps * costs.step(fast)

    def curve(setting: Setting, name: str, times: float, *, before: float = 0.0, start: str | None = None) -> Curve:
        step_seconds = costs.step(setting)
        made = max(1, round((times * whole - before) / step_seconds))
        every = max(round(whole / (POINTS * step_seconds)), 1)
        train = dataclasses.replace(setting.train(data, made), start_from=start, evaluate_every=every)
        errors = _validated(train, FieldError(data=data), folder / name, seed=seed)
        return Curve(before=before, step_seconds=step_seconds, steps=made, errors=errors)

    yield FAST, curve(fast, FAST, 1.0, before=costs.slopes)
    for setting in solving:
        yield setting.method, curve(setting, setting.method, LONGER)
    solved = next(setting for setting in solving if setting.method == SOLVED)
    yield THEN, curve(solved, THEN, 2.0, before=whole, start=str(folder / FAST))


def _validated(train: Train, evaluator: Evaluator, folder: Path, *, seed: int) -> dict[int, float]:
    """Return an evaluator's figure by step, as long as the loss is finite."""
    with contextlib.suppress(FloatingPointError):
        field_run.run(dataclasses.replace(train, validation=(evaluator,)), folder, seed=seed)
    return field_run.validated(folder, evaluator.name)


def _chosen(system: System, settings: Sequence[Setting], costs: Costs) -> Iterator[Row]:
    yield Row(figure=f"{system.name}: {FAST}, slopes of all records", value=1e3 * costs.slopes, unit="ms")
    for setting in settings:
        title = f"{system.name}: {setting.method}, {setting.size}"
        yield Row(figure=f"{title}, rate", value=setting.rate, unit="")
        yield Row(figure=f"{title}, a step", value=1e3 * costs.step(setting), unit="ms")


def _ratios(system: System, targets: tuple[float, ...], curves: Curves) -> Iterator[Row]:
    """Yield the times of the others over FNODE's; a target that a run misses counts as reached at its end.

    The bar applies to the fastest of them, at the loosest target.
    """
    others = [name for name in curves if name not in (FAST, THEN)]
    for target in targets:
        ratios = {name: _ratio(curves[name], curves[FAST], target) for name in others}
        fastest = min(others, key=lambda name: statistics.median(ratios[name]))
        for name, found in ratios.items():
            bar = AHEAD if (name, target) == (fastest, targets[0]) else None
            yield Row.median(f"{system.name}: time to {target:.2f}, {name} / FNODE", found, "x", bar=bar)


def _ratio(curves: Sequence[Curve], fast: Sequence[Curve], target: float) -> list[float]:
    """Return the ratio by seed; 0 if FNODE misses the target and so has no time to compare with."""
    return [min(one.until(target), one.seconds) / other.until(target) for one, other in zip(curves, fast, strict=True)]


def within(system: System, name: str, times: float) -> str:
    """Return the row name of a point on a method's curve."""
    return f"{system.name}: {name}, least error within {times:g} x the time of FNODE's run"


def _errors(system: System, name: str, curves: Sequence[Curve], fast: Sequence[Curve]) -> Iterator[Row]:
    for times in WITHIN:
        errors = [one.within(times * other.seconds) for one, other in zip(curves, fast, strict=True)]
        if all(map(math.isfinite, errors)):
            yield Row.median(within(system, name, times), errors, "error / truth")


def _times(title: str, targets: tuple[float, ...], curves: Sequence[Curve]) -> Iterator[Row]:
    for target in targets:
        reached = sum(math.isfinite(curve.until(target)) for curve in curves)
        times = [min(curve.until(target), curve.seconds) for curve in curves]
        yield Row.median(f"{title}, time to {target:.2f} (reached by {reached} of {len(curves)})", times, "s")
    yield Row.median(f"{title}, time of the whole run", [curve.seconds for curve in curves], "s")
    ends = [curve.last for curve in curves if math.isfinite(curve.last)]
    if ends:
        yield Row.median(f"{title}, error of the field at the end", ends, "error / truth")
