"""Folders of stages: each belongs to one config, and holds the evaluations of a finished stage."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import jax

from jaxkd.runtime import configs
from jaxkd.runtime.environment import environment
from jaxkd.training.evaluator import Evaluation
from jaxkd.training.stage import Stage


def claim(folder: Path, stage: Stage, *, may_differ: frozenset[str] = frozenset({"label"})) -> None:
    """Write the stage's config and environment into its folder, after checking against an existing config.

    Args:
        folder: folder of the stage; created if missing.
        stage: stage about to run.
        may_differ: fields of the stage that may change.

    Raises:
        ValueError: the folder belongs to a different config; the fields that differ are named.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.json"
    if path.exists():
        differences = configs.differences(configs.load(path), stage)
        changed = [line for line in differences if line.split(":")[0].split(".")[0] not in may_differ]
        if changed:
            raise ValueError(
                f"{folder} belongs to a run with another config and cannot go on with this one. Changed: "
                f"{'; '.join(changed)}. Undo the change, or name another --workdir."
            )
    if jax.process_index() == 0:
        configs.save(path, stage)
        (folder / "environment.json").write_text(json.dumps(environment(), indent=1) + "\n")


def write_evaluations(folder: Path, evaluations: Mapping[str, Evaluation]) -> None:
    """Store a stage's final evaluations, from process 0; their presence marks the stage as finished."""
    if jax.process_index() != 0:
        return
    temporary = folder / "evaluation.tmp"
    values = {name: json.loads(result.to_json()) for name, result in evaluations.items()}
    temporary.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n")
    os.replace(temporary, folder / "evaluation.json")


def read_evaluations(folder: Path) -> dict[str, Evaluation] | None:
    """Return the evaluations that `write_evaluations` stored; None if the stage is not finished."""
    path = folder / "evaluation.json"
    if not path.exists():
        return None
    return {name: Evaluation.from_json(json.dumps(value)) for name, value in json.loads(path.read_text()).items()}
