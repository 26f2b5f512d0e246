"""Read a training run, finished or interrupted: its config and its trained model."""

import dataclasses
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from jaxkd.models.checkpoints.language_model import LanguageModel
from jaxkd.records import Variables
from jaxkd.runtime import configs
from jaxkd.runtime.trained_params import trained_variables
from jaxkd.training import train_step as steps
from jaxkd.training.evaluator import ModelSource
from jaxkd.training.stage import refers_to_stage, resolve
from jaxkd.training.train_stage import Train
from jaxkd.training.train_step import Precision


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainedModel(ModelSource):
    """Result of a training run so far, whichever recipe trained it, as the run's own evaluators take it."""

    run: str
    """Folder of a training run, or "stage:NAME" in a study."""

    @property
    def double_precision(self) -> bool:
        train = _stored(Path(self.run))
        return train is not None and train.double_precision

    def validate(self) -> None:
        """Reject a folder without a training run, or a run in float64 where JAX computes in float32.

        The stage that "stage:NAME" stands for validates itself.

        Raises:
            ValueError: one of them.
        """
        if refers_to_stage(self):
            return
        if read_train(Path(self.run)).double_precision and jnp.asarray(0.0).dtype != jnp.float64:
            raise ValueError(
                f"run must be trained in float32 where JAX computes in it, got {self.run} in float64. Set "
                "JAX_ENABLE_X64=1."
            )

    def provenance(self) -> str:
        train = _stored(Path(self.run))
        return f"{'' if train is None else f'{train.provenance()}, '}trained by {self.run}"

    def load_model(self) -> Any:
        """Load the model on the ambient mesh; exceptions as in `model`."""
        return model(Path(self.run))


def read_train(folder: Path) -> Train:
    """Return the `Train` config of a run's folder.

    Raises:
        ValueError: a folder that holds no training run; the runs below it are listed.
    """
    train = _stored(folder)
    if train is not None and (folder / "checkpoints").is_dir():
        return _with_stages(train, folder)
    found = sorted(str(checkpoint.parent.parent) for checkpoint in folder.glob("**/checkpoints/[0-9]*"))
    below = f" Runs below it: {', '.join(dict.fromkeys(found))}." if found else ""
    raise ValueError(
        f"run must be the folder of a training run, with config.json and checkpoints, got {folder}.{below}"
    )


def _stored(folder: Path) -> Train | None:
    """Return the config in a folder as it was written; None if there is none, or that of another kind of stage."""
    path = folder / "config.json"
    found = configs.load(path) if path.exists() else None
    return found if isinstance(found, Train) else None


def _with_stages(train: Train, folder: Path) -> Train:
    """Replace each "stage:NAME" by that stage's folder at the run's seed; unchanged if one is missing."""
    runs = [stage / folder.name for stage in folder.absolute().parent.parent.iterdir() if stage.is_dir()]
    try:
        return resolve(train, {run.parent.name: run if run.is_dir() else run.parent for run in runs})
    except ValueError:
        # The run was moved out of its study: code that needs the other stages reports it.
        return train


def model(folder: Path, *, precision: Precision | None = None) -> Any:
    """Load the trained model of a run on the ambient mesh, as its evaluators take it.

    Args:
        folder: folder of the run.
        precision: precision of its frozen parameters, such as a checkpoint under adapters; None: the run's own, which
            gives the figures of its report.
    """
    train = read_train(folder)
    base = steps.cast(train.recipe.load_base(), steps.compute_dtype(precision or train.precision))
    wanted = train.recipe.abstract()
    target = steps.cast(wanted.params, steps.master_dtype(train.precision))
    params, statistics = trained_variables(folder, target, wanted.statistics())
    return train.recipe.model(Variables(params=params, state=statistics, frozen=base))


def language_model(folder: Path, *, precision: Precision | None = None) -> LanguageModel:
    """Load the student of a run on the ambient mesh, ready to be sampled or exported; arguments as in `model`.

    Raises:
        ValueError: a run that trained something else.
    """
    return require_language_model(model(folder, precision=precision), folder)


def require_language_model(found: Any, folder: Path) -> LanguageModel:
    """Return the model of a run if it is a language model; exceptions as in `language_model`."""
    if not isinstance(found, LanguageModel):
        raise ValueError(
            f"run must be the folder of a run that trained a language model, got {folder}: {found}. Only these "
            "generate text; read other models with jaxkd.study.runs.model."
        )
    return found
