"""A model as the harnesses open it, by one path."""

import dataclasses
from pathlib import Path
from typing import Literal

import jax

from jaxkd.models.checkpoints.language_model import LanguageModel, language_model
from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.sharding import mesh as meshes
from jaxkd.study import prompt_style, runs
from jaxkd.study.prompt_style import PromptStyle
from jaxkd.study.runs import TrainedModel
from jaxkd.training import train_step as steps
from jaxkd.training.train_step import Precision


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpenedModel:
    """A model on its mesh, and how its prompts are rendered."""

    name: str
    provenance: str
    """One line that names the model's files."""
    model: LanguageModel
    style: PromptStyle
    mesh: jax.sharding.Mesh
    """To be made the ambient one around each computation."""


def open_model(
    path: str,
    *,
    layers: tuple[int, ...] | None = None,
    precision: Precision | None = None,
    template: Literal["chat", "plain"] | None = None,
    system: str | None = None,
) -> OpenedModel:
    """Load a model on the ambient mesh, or without one on all devices, each of which computes some of the rows.

    Args:
        path: packaged model, GGUF file, Hugging Face folder or hub id; or the folder of a training run.
        layers: layers of a checkpoint to keep; None keeps all.
        precision: precision of the parameters; None is float32, or that of the run.
        template: rendering of messages; by default that of a run's training rows, or chat for a model with a template.
        system: system message for prompts without one; by default that of a run's training rows.

    Raises:
        ValueError: as `Pretrained.folder` or `runs.language_model`.
    """
    ambient = jax.sharding.get_mesh()
    mesh = meshes.make(meshes.MeshShape()) if ambient.empty else ambient
    run = Path(path).expanduser()
    with jax.set_mesh(mesh):
        if (run / "checkpoints").is_dir():
            if layers is not None:
                raise ValueError(
                    f"layers must be left out for a run, whose model has them all, got {layers} for {path}."
                )
            model = runs.language_model(run, precision=precision)
            style = prompt_style.of_run(runs.read_train(run), system=system)
            provenance = TrainedModel(run=str(run)).provenance()
        else:
            checkpoint = Pretrained(path=path, layers=layers)
            model, provenance = language_model(checkpoint), checkpoint.provenance()
            style = prompt_style.of_model(model, system=system)
        if precision is not None:
            model = dataclasses.replace(model, params=steps.cast(model.params, steps.compute_dtype(precision)))
    style = style if template is None else dataclasses.replace(style, template=template)
    return OpenedModel(name=path, provenance=provenance, model=model, style=style, mesh=mesh)
