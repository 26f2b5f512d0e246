"""Folders of stages: each belongs to one config and one process, and holds the evaluations of a finished stage."""

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import jax

from jaxkd.runtime import configs
from jaxkd.runtime.environment import environment
from jaxkd.runtime.storage.files import read_json, write_json
from jaxkd.runtime.storage.folder_lock import locked
from jaxkd.training.results.evaluation import Evaluation
from jaxkd.training.stage import Stage

EVALUATIONS = "evaluation.json"


@contextlib.contextmanager
def claimed(
    folder: Path, stage: Stage, *, work: Sequence[str], may_differ: frozenset[str] = frozenset({"label"})
) -> Iterator[None]:
    """Have a folder alone for the duration of a block, with the stage's config and environment in it.

    A folder without work is free: a try that failed before its first step binds no later one.

    Args:
        folder: folder of the stage; created if missing.
        stage: stage about to run.
        work: patterns of the files, none of them empty, by which a folder shows that work was done in it.
        may_differ: fields of the stage that may change.

    Raises:
        BlockingIOError: another process has the folder.
        ValueError: the folder holds work with a different config; the fields that differ are named.
    """
    # The other processes of a run have the same folder.
    with locked(folder) if jax.process_index() == 0 else contextlib.nullcontext():
        path = folder / "config.json"
        if path.exists() and any(_holds_something(found) for pattern in work for found in folder.glob(pattern)):
            differences = configs.differences(configs.load(path), stage)
            changed = [line for line in differences if line.split(":")[0].split(".")[0] not in may_differ]
            if changed:
                raise ValueError(
                    f"{folder} belongs to a run with another config and cannot go on with this one. Changed: "
                    f"{'; '.join(changed)}. Undo the change, or name another --workdir."
                )
        if jax.process_index() == 0:
            configs.save(path, stage)
            write_json(folder / "environment.json", environment())
        yield


def _holds_something(path: Path) -> bool:
    return path.is_dir() or path.stat().st_size > 0


def write_evaluations(folder: Path, evaluations: Mapping[str, Evaluation]) -> None:
    """Store a stage's final evaluations, from process 0; their presence marks the stage as finished."""
    if jax.process_index() == 0:
        values = {name: dataclasses.asdict(result) for name, result in evaluations.items()}
        write_json(folder / EVALUATIONS, values)


def read_evaluations(folder: Path) -> dict[str, Evaluation] | None:
    """Return the evaluations that `write_evaluations` stored; None if the stage is not finished.

    Raises:
        ValueError: a damaged file, by name.
    """
    path = folder / EVALUATIONS
    if not path.exists():
        return None
    values = read_json(path)
    try:
        return {name: Evaluation.from_json(json.dumps(value)) for name, value in values.items()}
    except (AttributeError, ValueError) as error:
        raise ValueError(
            f"{path} must hold the evaluations of a stage, got something else ({error}). Remove it and run the same "
            "command again: they are made again."
        ) from error
