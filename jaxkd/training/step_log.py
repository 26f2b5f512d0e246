"""Log of training steps: a row on disk and a line on screen; stops the run if a metric is not finite."""

import math
import time
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from jaxkd.runtime import metric_writer
from jaxkd.runtime.metric_writer import MetricWriter
from jaxkd.runtime.progress import ProgressBar
from jaxkd.training.optimizer import Optimizer, learning_rate_at
from jaxkd.training.recipe import Count
from jaxkd.training.train_step import COUNT_PREFIX
from jaxkd.typing import Params, Scalar

_FIX = (
    "Lower learning_rate, raise warmup_steps or set clip_norm, and name another --workdir. What the last checkpoint "
    "holds, if there is one, is from before: start_from=FOLDER of this run goes on from it."
)


def require_finite(params: Params, step: int) -> None:
    """Reject parameters after the last step that no later loss would show to be broken.

    Raises:
        FloatingPointError: a parameter that is not finite, by name.
    """
    whole = NamedSharding(jax.sharding.get_mesh(), PartitionSpec())  # for each process to read
    finite = jax.jit(lambda tree: jax.tree.map(lambda leaf: jnp.isfinite(leaf).all(), tree), out_shardings=whole)
    for path, holds in jax.tree.leaves_with_path(jax.device_get(finite(params))):
        if not holds:
            name = jax.tree_util.keystr(path, simple=True, separator=".")
            raise FloatingPointError(f"{name} must be finite, got nan or inf in it after step {step}. {_FIX}")


class StepLog:
    """Log that holds back a step's metrics until the next step runs, so that the device never waits for the host."""

    def __init__(
        self,
        writer: MetricWriter,
        bar: ProgressBar,
        *,
        optimizer: Optimizer,
        steps: int,
        every: int,
        counted: Count | None = None,
    ):
        self._writer, self._bar = writer, bar
        self._optimizer, self._steps, self._every, self._counted = optimizer, steps, every, counted
        self._pending: tuple[int, dict[str, Scalar]] | None = None
        self._clock = time.perf_counter()

    def push(self, step: int, metrics: dict[str, Scalar]) -> None:
        """Take the metrics of `step`, still on the device, and write those of the previous step.

        Args:
            step: number of the step, from 1.
            metrics: scalars, and counts under `COUNT_PREFIX`.

        Raises:
            FloatingPointError, ValueError: as in `flush`, for the previous step.
        """
        self.flush()
        self._pending = (step, metrics)

    def flush(self) -> None:
        """Write the metrics that are held back.

        Raises:
            FloatingPointError: a metric that is not finite; the message gives its name and the step.
            ValueError: `counted` is not among the counts.
        """
        if self._pending is None:
            return
        step, metrics = self._pending
        self._pending = None
        values = {name: float(value) for name, value in jax.device_get(metrics).items()}
        now = time.perf_counter()
        seconds, self._clock = now - self._clock, now
        for name, value in values.items():
            if not math.isfinite(value):
                raise FloatingPointError(f"{name} must be finite, got {value} at step {step}. {_FIX}")
        counts = {name: round(values.pop(name)) for name in list(values) if name.startswith(COUNT_PREFIX)}
        done = self._done(counts)
        self._bar.update(step, loss=values["loss"], count=done)
        if step % self._every == 0 or step == self._steps:
            row = {f"train/{name}": value for name, value in values.items()} | counts
            row["learning_rate"] = float(learning_rate_at(self._optimizer, self._steps, step - 1))
            row["seconds"] = seconds
            if self._counted is not None:
                row[f"{self._counted.word}{metric_writer.RATE_SUFFIX}"] = done / seconds
            self._writer.write(step, row)

    def _done(self, counts: Mapping[str, int]) -> int:
        """Return what the step has counted, by the recipe's word; 0 without one."""
        if self._counted is None:
            return 0
        name = f"{COUNT_PREFIX}{self._counted.name}"
        if name not in counts:
            known = ", ".join(one.removeprefix(COUNT_PREFIX) for one in counts)
            raise ValueError(
                f"counted must be one of the recipe's counts, got {self._counted.name!r}. It has {known or 'none'}."
            )
        return counts[name]
