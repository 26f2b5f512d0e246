"""Reading a training run, finished or interrupted: its config and its student."""

from pathlib import Path

from jaxkd import config as configs
from jaxkd import train_step as steps
from jaxkd.loop import Train
from jaxkd.models.language_model import LanguageModel
from jaxkd.records import Variables
from jaxkd.trained import trained_params


def read_train(folder: Path) -> Train:
    """The `Train` that a run's folder was made by.

    Raises:
        ValueError: a folder that holds no training run; the runs below it are listed.
    """
    path = folder / "config.json"
    train = configs.load(path) if path.exists() else None
    if isinstance(train, Train) and (folder / "checkpoints").is_dir():
        return train
    found = sorted(str(checkpoint.parent.parent) for checkpoint in folder.glob("**/checkpoints/[0-9]*"))
    below = f" Runs below it: {', '.join(dict.fromkeys(found))}." if found else ""
    raise ValueError(
        f"run must be the folder of a training run, with config.json and checkpoints, got {folder}.{below}"
    )


def student_model(folder: Path) -> LanguageModel:
    """The student of a run on the ambient mesh, ready to be evaluated, sampled or exported."""
    train = read_train(folder)
    target = steps.cast(train.recipe.abstract().params, steps.master_dtype(train.precision))
    frozen = train.recipe.load_student_base()
    return train.recipe.student_model(Variables(params=trained_params(folder, target), frozen=frozen))
