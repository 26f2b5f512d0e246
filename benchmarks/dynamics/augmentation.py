"""Whether simulations between sparse samples improve the slopes that FNODE learns from, beside two controls."""

import dataclasses
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import environment, units
from benchmarks.dynamics import field_run
from benchmarks.row import Bar, Benchmark, Measured, Row
from jaxkd.data.trajectories import SimulatedTrajectories
from jaxkd.dynamics import systems
from jaxkd.dynamics.systems import System
from jaxkd.evals.dynamics import FieldError, RolloutError
from jaxkd.recipes.fnode import DENSE, FNODE
from jaxkd.study import runs
from jaxkd.training import Optimizer, Train
from jaxkd.vector_fields.field import VectorField

SPARSE = dataclasses.replace(systems.LOTKA_VOLTERRA, samples=33)
SEEDS, QUICK = range(100, 105), 1
NOISE = (0.0, 0.02)
ROUNDS, STEPS = 3, 2500
"""Rounds, and optimizer steps before the first round and after each."""

PIECES = 8
"""Pieces of a validation record: short forecasts measure the field more and the phase less."""

HALVED = Bar(relation="<=", limit=0.5)


def measure(quick: bool) -> Measured:
    """Measure errors of slopes and of fields at five seeds; quick: one seed, with a tenth of the steps."""
    seeds, steps = (SEEDS[:QUICK], STEPS // 10) if quick else (SEEDS, STEPS)
    with jax.enable_x64(True):
        rows = [row for level in NOISE for row in _rows(SPARSE, level, seeds, steps)]
    return Measured(rows=tuple(rows), environment=environment.here())


BENCHMARK = Benchmark(
    name="augmentation", summary="FNODE's rounds on sparse samples, beside steps without rounds", measure=measure
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tried:
    """Relative L2 errors at one seed."""

    first: float
    """Error of the curves' slopes at the samples."""
    rounds: float
    """Error of the slopes at the samples after the rounds."""
    own: float
    """Error of the slopes at the samples by the field itself, before the rounds."""
    longer: float
    """Error of the slopes at the samples by a field trained as long, without rounds."""
    first_field: float
    """Error of the field at clean test states, before the rounds."""
    longer_field: float
    rounds_field: float
    done: int
    """Number of accepted rounds."""


def _rows(system: System, level: float, seeds: range, steps: int) -> Iterator[Row]:
    tried = [units.kept(_tried, system, seed, level, steps) for seed in seeds]
    title = f"sparse {system.name}, {level:.0%} noise"

    def median(figure: str, of: Callable[[Tried], float], unit: str, bar: Bar | None = None) -> Row:
        return Row.median(f"{title}: {figure}", [of(one) for one in tried], unit, bar=bar)

    yield median("slopes after the rounds / before", lambda one: one.rounds / one.first, "x", HALVED)
    yield median("slopes of the curves", lambda one: one.first, "error / truth")
    yield median("slopes after the rounds", lambda one: one.rounds, "error / truth")
    yield median("slopes by the first field itself", lambda one: one.own, "error / truth")
    yield median("slopes by a field of as many steps without rounds", lambda one: one.longer, "error / truth")
    yield median("field before the rounds", lambda one: one.first_field, "error / truth")
    yield median("field of as many steps without rounds", lambda one: one.longer_field, "error / truth")
    yield median("field after the rounds", lambda one: one.rounds_field, "error / truth")
    yield Row(figure=f"{title}: rounds accepted", value=statistics.mean(one.done for one in tried), unit=f"of {ROUNDS}")


def _tried(system: System, seed: int, level: float, steps: int) -> Tried:
    data = SimulatedTrajectories.of(system, noise=level, seed=seed)
    clean = np.asarray(dataclasses.replace(data, noise=0.0).trajectories("train").states)
    truth = np.asarray(system.slopes(jnp.asarray(clean)))

    def off(slopes: np.ndarray) -> float:
        return float(np.linalg.norm(slopes - truth) / np.linalg.norm(truth))

    recipe = FNODE(data=data)
    _, (smooth, first) = recipe.training_estimates()

    def own(field: VectorField) -> float:
        return off(np.asarray(jax.vmap(jax.vmap(lambda y: field(0.0, y)))(jnp.asarray(smooth))))

    (short, _), (longer, _) = (_trained(recipe, part, steps, seed) for part in (1, ROUNDS + 1))
    augmented, kept = _trained(dataclasses.replace(recipe, rounds=ROUNDS), ROUNDS + 1, steps, seed)
    error = FieldError(data=data)
    fields = [error(field).metrics["field_error"] for field in (short, longer, augmented)]
    done = int(kept["round"])
    return Tried(
        first=off(first),
        rounds=off(np.asarray(kept[DENSE]["slopes"])[:, :: recipe.parts]) if done else off(first),
        own=own(short),
        longer=own(longer),
        first_field=fields[0],
        longer_field=fields[1],
        rounds_field=fields[2],
        done=done,
    )


def _trained(recipe: FNODE, parts: int, steps: int, seed: int) -> tuple[VectorField, Mapping[str, Any]]:
    """Return the field after `parts` parts of the run, and its rollout state."""
    train = Train(
        name="run",
        recipe=recipe,
        steps=parts * steps,
        optimizer=Optimizer(learning_rate=3e-3),
        log_every=steps,
        evaluate_every=steps,
        validation=(RolloutError(data=recipe.data, split="validation", pieces=PIECES),),
    )
    with tempfile.TemporaryDirectory() as folder:
        kept = field_run.run(train, Path(folder), seed=seed)
        return runs.model(Path(folder)), kept
