"""Evaluate a model as it is: the `Evaluate` stage."""

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path

import jax

from jaxkd.sharding import mesh as meshes
from jaxkd.training import stage_folder
from jaxkd.training.evaluator import Evaluator, ModelSource, check_names
from jaxkd.training.stage import Stage, refers_to_stage, resolve

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate(Stage):
    """Evaluate a model as it is: the teacher, the student before training, or the result of a run."""

    model: ModelSource
    """Model to evaluate: `Pretrained` for a checkpoint, `TrainedModel` for what a run trained, of any recipe.  One that
    an earlier stage trains is evaluated for each seed."""
    evaluators: tuple[Evaluator, ...]
    """Evaluators that run on the model, each on its own data."""
    mesh: meshes.MeshShape = dataclasses.field(default_factory=meshes.MeshShape)
    """Number of devices along each axis of the mesh.  Default: rows are split over all devices."""

    @property
    def seeded(self) -> bool:
        return refers_to_stage(self.model)

    @property
    def double_precision(self) -> bool:
        return self.model.double_precision

    def validate(self) -> None:
        self.model.validate()
        check_names(self.evaluators)

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
                model = resolved.model.load_model()
                stage_folder.write_evaluations(folder, {one.name: one(model) for one in resolved.evaluators})
