"""Reading a finished or interrupted training run: its config, its parameters, its student."""

from pathlib import Path

import jax

from jaxkd import config as configs
from jaxkd import train_step as steps_
from jaxkd.checkpoint import Checkpoints
from jaxkd.loop import Train
from jaxkd.models.language_model import LanguageModel
from jaxkd.records import Variables
from jaxkd.typing import Params


def read_train(folder: Path) -> Train:
    """The `Train` that a run's folder was made by.

    Raises:
        ValueError: a folder that holds no training run; the runs below it are listed.
    """
    path = folder / "config.json"
    train = configs.load(path) if path.exists() else None
    if isinstance(train, Train) and (folder / "checkpoints").is_dir():
        return train
    runs = sorted(str(found.parent.parent) for found in folder.glob("**/checkpoints/[0-9]*"))
    below = f" Runs below it: {', '.join(dict.fromkeys(runs))}." if runs else ""
    raise ValueError(
        f"run must be the folder of a training run, with config.json and checkpoints, got {folder}.{below}"
    )


def trained_params(folder: Path, like: Params | None = None) -> Params:
    """The trained parameters of a run: the average where one was kept, of the best or last checkpoint.

    Args:
        folder: of the run.
        like: parameters whose shapes and shardings the result must have; None takes the run's own.

    Raises:
        ValueError: no checkpoint yet, or shapes that differ.
    """
    train = read_train(folder)
    abstract = steps_.cast(train.recipe.abstract().params, steps_.master_dtype(train.precision))
    item = "ema" if train.ema_decay is not None else "params"
    with Checkpoints(folder / "checkpoints", keep_best=train.keep_best, read_only=True) as checkpoints:
        step = checkpoints.best() if train.keep_best is not None else None
        step = checkpoints.latest() if step is None else step
        if step is None:
            raise ValueError(f"run must have a checkpoint, got {folder} without one. Let it run until its first save.")
        params = checkpoints.restore_part(step, {item: abstract})[item]
    if like is None:
        return params
    if jax.tree.map(lambda leaf: leaf.shape, params) != jax.tree.map(lambda leaf: leaf.shape, like):
        raise ValueError(f"start_from must be a run of a student of the same shape, got {folder}.")
    return jax.tree.map(lambda leaf, other: jax.device_put(leaf, other.sharding), params, like)


def student_model(folder: Path) -> LanguageModel:
    """The student of a run, ready to be evaluated, sampled or exported."""
    train = read_train(folder)
    return train.recipe.student_model(Variables(params=trained_params(folder)))
