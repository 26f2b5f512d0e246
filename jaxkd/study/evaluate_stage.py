"""Evaluate a model as it is: the `Evaluate` stage."""

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path

import jax

from jaxkd.models.checkpoints.language_model import language_model
from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.sharding import mesh as meshes
from jaxkd.training import stage_folder
from jaxkd.training.evaluator import Evaluator
from jaxkd.training.stage import Stage, resolve

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate(Stage):
    """Evaluate a checkpoint as it is: the teacher, or the student before training."""

    model: Pretrained
    """Checkpoint to evaluate."""
    evaluators: tuple[Evaluator, ...]
    """Evaluators that run on the model, each on its own data."""
    mesh: meshes.MeshShape = dataclasses.field(default_factory=meshes.MeshShape)
    """Number of devices along each axis of the mesh.  Default: rows are split over all devices."""

    def validate(self) -> None:
        self.model.config()

    def provenance(self) -> str:
        return self.model.provenance()

    def run(self, folder: Path, *, seed: int, stages: Mapping[str, Path]) -> None:
        del seed
        with stage_folder.claimed(folder, self, work=(stage_folder.EVALUATIONS,)):
            if stage_folder.read_evaluations(folder) is not None:
                _log.info("%s is finished: nothing to do", folder)
                return
            with jax.set_mesh(meshes.make(self.mesh)):
                resolved = resolve(self, stages)
                model = language_model(resolved.model)
                stage_folder.write_evaluations(folder, {one.name: one(model) for one in resolved.evaluators})
