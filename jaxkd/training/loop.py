"""Training loop for all methods, from a laptop to a pod."""

import dataclasses
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from jaxkd.records import Rollout
from jaxkd.runtime import lost_process, metric_writer
from jaxkd.runtime.checkpoint import Checkpoints
from jaxkd.runtime.interrupt import Interrupt, Interrupted, catch_interrupts
from jaxkd.runtime.metric_writer import MetricWriter
from jaxkd.runtime.progress import progress
from jaxkd.runtime.storage import inputs
from jaxkd.runtime.storage.free_space import check_writable
from jaxkd.runtime.trained_params import checkpoint_record, trained_variables, write_origins
from jaxkd.sharding import Share
from jaxkd.sharding import mesh as meshes
from jaxkd.training import early_stopping, stage_folder
from jaxkd.training.evaluator import Evaluator
from jaxkd.training.results.evaluation import Evaluation
from jaxkd.training.step_log import StepLog, require_finite
from jaxkd.training.train_config import MAY_CHANGE, TrainConfig
from jaxkd.training.train_step import TrainState, rollout_key
from jaxkd.typing import Key, Params

_log = logging.getLogger(__name__)


class TrainingRun:
    """One training run in its folder, under the ambient mesh."""

    def __init__(self, train: TrainConfig, folder: Path, seed: int):
        self.train, self.folder, self.seed = train, folder, seed
        self.step = train.compiled_step()
        self.step_function = self.step.jit()
        self.abstract = self.step.abstract_state()
        self.validated: tuple[int, dict[str, float]] = (-1, {})
        """Step and metrics of the newest validation, by which a checkpoint of the same step is ranked."""
        self.values: dict[int, float] = {}
        """`keep_best` of each validation, by step."""

    def go(self) -> None:
        train = self.train
        check_writable(self.folder, train.disk_bytes(self.folder))
        checkpoints = Checkpoints(
            self.folder / "checkpoints", keep_last=train.keep_last, keep_best=train.keep_best, better=train.better
        )
        writer = MetricWriter(self.folder, tensorboard=None if train.tensorboard else False, wandb=train.wandb)
        with checkpoints, writer, catch_interrupts() as interrupt, lost_process.saved_in(self.folder / "checkpoints"):
            stream = iter(train.recipe.batches("train", self.seed, share=Share.of_process()))
            state, frozen = self._start(checkpoints, stream)
            writer.truncate_after(int(state.step), every=train.log_every)
            self.values = early_stopping.validated(metric_writer.read(self.folder), train.keep_best)
            state = self._loop(state, frozen, stream, checkpoints, writer, interrupt)
            self._save(state, stream, checkpoints)
            checkpoints.wait()
            step = int(state.step)
            if train.keep_best is not None and (best := checkpoints.best()) is not None:
                state, _ = checkpoints.restore(best, self.abstract)
        stopped = step < train.steps and train.stopped(self.values)
        # A signal since the last step stops the run before its evaluation, and before the study's next stage.
        if (step < train.steps and not stopped) or interrupt.agreed():
            raise Interrupted(interrupt.signal, f" after step {step}; saved")
        if stopped:
            _log.info("%s ends after step %d: %s no longer improves", self.folder, step, train.keep_best)
        stage_folder.write_evaluations(self.folder, self._evaluate(train.evaluators, state, frozen))

    def _start(self, checkpoints: Checkpoints, stream: Any) -> tuple[TrainState, Params]:
        """Start from the newest checkpoint in the folder, else from `start_from`, else from the recipe."""
        latest = checkpoints.latest()
        if latest is not None:
            inputs.require_unchanged(self.folder, self.train, may_differ=MAY_CHANGE)
            state, record = checkpoints.restore(latest, self.abstract)
            stream.set_state(record["stream"])
            _log.info("resuming at step %d of %s", latest, self.folder)
            return state, self.step.frozen(self.train.recipe.load_frozen())

        variables = self.train.recipe.init(jax.random.fold_in(jax.random.key(self.seed), 2**31))
        origins = self.train.recipe.origins()
        if jax.process_index() == 0:
            inputs.store(self.folder, self.train, may_differ=MAY_CHANGE)
            write_origins(self.folder, origins)
        if self.train.start_from is not None:
            wanted = self.abstract.variables({})
            params, statistics = trained_variables(Path(self.train.start_from), wanted.params, wanted.statistics())
            variables = variables.replace(params=params, state=variables.state | statistics)
        shardings = jax.tree.map(lambda leaf: leaf.sharding, self.abstract)
        state = jax.device_put(self.step.initial_state(variables), shardings)
        return state, self.step.frozen(variables.frozen)

    def _loop(
        self,
        state: TrainState,
        frozen: Params,
        stream: Iterator[Any],
        checkpoints: Checkpoints,
        writer: MetricWriter,
        interrupt: Interrupt,
    ) -> TrainState:
        train, root_key = self.train, jax.random.key(self.seed)
        mesh = jax.sharding.get_mesh()
        start = int(state.step)
        counted = train.recipe.counted
        word = "" if counted is None else counted.word
        with progress(train.steps, f"{train.name}, seed {self.seed}", start=start, counted=word) as bar:
            log = StepLog(
                writer, bar, optimizer=train.optimizer, steps=train.steps, every=train.log_every, counted=counted
            )
            for step in range(start + 1, train.steps + 1):
                if interrupt.agreed() or train.stopped(self.values):
                    break
                rollout = self._rollout(state, frozen, next(stream), step, rollout_key(root_key, step))
                batch = meshes.global_batch(rollout.batch, mesh)
                kept = state.rollout_state if rollout.rollout_state is None else self._placed(rollout.rollout_state)
                state, metrics = self.step_function(state.without_rollout_state(), frozen, batch, root_key)
                state = dataclasses.replace(state, rollout_state=kept)
                # The metrics of the previous step are read while this one runs, so the device never waits.
                log.push(step, metrics | rollout.metrics)
                if _due(step, train.evaluate_every) and step < train.steps:
                    log.flush()
                    state = self._validate(step, state, frozen, writer)
                if _due(step, train.save_every) and step < train.steps:
                    log.flush()
                    self._save(state, stream, checkpoints)
            log.flush()
        if start < int(state.step) == train.steps:
            require_finite(state.params, train.steps)
            state = self._validate(train.steps, state, frozen, writer)
        return state

    def _rollout(self, state: TrainState, frozen: Params, examples: Any, step: int, key: Key) -> Rollout:
        """Make the batch of a step; reading the parameters waits for the previous step, which may still run."""
        start = time.perf_counter()
        variables = self.step.variables(state, frozen).replace(step=step - 1)
        rollout = self.train.recipe.rollout(variables, examples, key)
        if not rollout.metrics:
            return rollout
        seconds = {"rollout/seconds": time.perf_counter() - start}
        return dataclasses.replace(rollout, metrics=rollout.metrics | seconds)

    def _validate(self, step: int, state: TrainState, frozen: Params, writer: MetricWriter) -> TrainState:
        results = self._evaluate(self.train.validation, state, frozen)
        values = {name: value for result in results.values() for name, value in result.metrics.items()}
        self.validated = (step, values)
        if not values:
            return state
        if self.train.keep_best in values:
            self.values[step] = values[self.train.keep_best]
        writer.write(step, {f"validation/{name}": value for name, value in values.items()})
        return dataclasses.replace(
            state, rollout_state=self._placed(self.train.recipe.validated(state.rollout_state, values))
        )

    def _placed(self, kept: Params) -> Params:
        return jax.device_put(kept, jax.tree.map(lambda leaf: leaf.sharding, self.abstract.rollout_state))

    def _evaluate(self, evaluators: tuple[Evaluator, ...], state: TrainState, frozen: Params) -> dict[str, Evaluation]:
        if not evaluators:
            return {}
        model = self.train.recipe.model(state.variables(frozen, averaged=True))
        return {evaluator.name: evaluator(model) for evaluator in evaluators}

    def _save(self, state: TrainState, stream: Any, checkpoints: Checkpoints) -> None:
        step = int(state.step)
        if step == checkpoints.latest():
            return
        validated, values = self.validated
        record = checkpoint_record(
            stream=stream.get_state(),
            averaged=self.train.ema_decay is not None,
            ranked_by=self.train.keep_best,
            better=self.train.better,
        )
        checkpoints.save(step, state, record, values if validated == step else None)


def _due(step: int, every: int | None) -> bool:
    return every is not None and step % every == 0
