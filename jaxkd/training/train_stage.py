"""Train a recipe's student: the `Train` stage."""

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path

import jax

from jaxkd.runtime import metric_writer
from jaxkd.runtime.checkpoint import Checkpoints
from jaxkd.sharding import mesh as meshes
from jaxkd.training import early_stopping, stage_folder
from jaxkd.training.loop import TrainingRun
from jaxkd.training.planning.step_plan import step_plan
from jaxkd.training.stage import Plan, resolve
from jaxkd.training.train_config import MAY_CHANGE, TrainConfig

_log = logging.getLogger(__name__)

WORK = (stage_folder.EVALUATIONS, metric_writer.FILE, "checkpoints/[0-9]*")
"""Files of a run that has made a step."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train(TrainConfig):
    """Train a recipe's student."""

    def plan(self) -> Plan:
        with jax.set_mesh(meshes.make(self.mesh)):
            step = step_plan(self.compiled_step())
        return Plan(
            description=f"{type(self).__name__}, {type(self.recipe).__name__}\n{step.description}",
            memory=step.memory,
            flops=float(step.flops) * self.steps,
            devices=step.devices,
            bfloat16=self.precision == "bfloat16",
        )

    def run(self, folder: Path, *, seed: int, stages: Mapping[str, Path]) -> None:
        # First, since a claim stores this config, even one that requests impossible steps.
        finished = stage_folder.read_evaluations(folder) is not None and self._finished(folder)
        with stage_folder.claimed(folder, self, work=WORK, may_differ=MAY_CHANGE):
            if finished:
                _log.info("%s is finished: nothing to do", folder)
                return
            train = resolve(self, stages)
            with jax.set_mesh(meshes.make(self.mesh)):
                TrainingRun(train, folder, seed).go()

    def _finished(self, folder: Path) -> bool:
        """Check the log and the newest checkpoint, or the log alone if the checkpoints were removed to free space.

        Raises:
            ValueError: the run is to be extended, and has no checkpoint to resume from.
        """
        rows = metric_writer.read(folder)
        if self.stopped(early_stopping.validated(rows, self.keep_best)):
            return True
        if (folder / "checkpoints").exists():
            with Checkpoints(folder / "checkpoints", read_only=True) as checkpoints:
                return checkpoints.latest() == self.steps
        made = max(row["step"] for row in rows)
        if made != self.steps:
            raise ValueError(
                f"steps must stay {made} for a run without checkpoints, such as {folder}, got {self.steps}. "
                "Undo the change, or name another --workdir."
            )
        return True
