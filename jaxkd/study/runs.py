"""Read a training run, finished or interrupted: its config and its trained model."""

from pathlib import Path
from typing import Any

from jaxkd.models.checkpoints.language_model import LanguageModel
from jaxkd.records import Variables
from jaxkd.runtime import configs
from jaxkd.runtime.trained_params import trained_params
from jaxkd.training import train_step as steps
from jaxkd.training.stage import resolve
from jaxkd.training.train_stage import Train
from jaxkd.training.train_step import Precision


def read_train(folder: Path) -> Train:
    """Return the `Train` config of a run's folder.

    Raises:
        ValueError: a folder that holds no training run; the runs below it are listed.
    """
    path = folder / "config.json"
    train = configs.load(path) if path.exists() else None
    if isinstance(train, Train) and (folder / "checkpoints").is_dir():
        return _with_stages(train, folder)
    found = sorted(str(checkpoint.parent.parent) for checkpoint in folder.glob("**/checkpoints/[0-9]*"))
    below = f" Runs below it: {', '.join(dict.fromkeys(found))}." if found else ""
    raise ValueError(
        f"run must be the folder of a training run, with config.json and checkpoints, got {folder}.{below}"
    )


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
    target = steps.cast(train.recipe.abstract().params, steps.master_dtype(train.precision))
    return train.recipe.model(Variables(params=trained_params(folder, target), frozen=base))


def language_model(folder: Path, *, precision: Precision | None = None) -> LanguageModel:
    """Load the student of a run on the ambient mesh, ready to be sampled or exported; arguments as in `model`.

    Raises:
        ValueError: a run that trained something else.
    """
    found = model(folder, precision=precision)
    if not isinstance(found, LanguageModel):
        raise ValueError(
            f"run must be the folder of a run that trained a language model, got {folder}: {found}. Only these are "
            "exported and generate text; read other models with jaxkd.study.runs.model."
        )
    return found
