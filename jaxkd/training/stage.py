"""A stage of a study: something that runs in a folder of its own and can be run again."""

import abc
import dataclasses
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import jax

from jaxkd.runtime import configs
from jaxkd.training.evaluator import Evaluation

STAGE_PREFIX = "stage:"

Config = TypeVar("Config")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage(abc.ABC):
    """One step of a study.  A program of the stage's name runs it alone."""

    name: str
    """Its folder in the study and its prefix on the command line."""
    label: str | None = None
    """Its row in the study's table; None leaves it out."""

    seeded: ClassVar[bool] = False
    """Whether it runs once for each seed of the study."""

    @abc.abstractmethod
    def validate(self) -> None:
        """Refuse what cannot work, before any stage of the study starts."""

    def disk_bytes(self) -> int:
        """What it will write at one seed, as far as that is known before it starts."""
        return 0

    @abc.abstractmethod
    def plan(self) -> str:
        """What the stage would do: shapes, parameter counts, memory.  Starts nothing."""

    @abc.abstractmethod
    def run(self, folder: Path, *, seed: int, stages: Mapping[str, Path]) -> None:
        """Do the work, or what is left of it.

        Args:
            folder: of this stage and seed; created where it is missing.
            seed: of the study.
            stages: folders of the earlier stages, for "stage:NAME" in the config.
        """

    @abc.abstractmethod
    def provenance(self) -> str:
        """One line: what the models really were."""


def resolve(config: Config, stages: Mapping[str, Path]) -> Config:
    """`config` with each "stage:NAME" in it replaced by that stage's folder.

    Raises:
        ValueError: a stage that is not among the earlier ones.
    """
    return _resolved(config, stages)


def _resolved(config: Any, stages: Mapping[str, Path]) -> Any:
    if isinstance(config, str) and config.startswith(STAGE_PREFIX):
        name = config.removeprefix(STAGE_PREFIX)
        if name not in stages:
            known = ", ".join(stages) or "none"
            raise ValueError(f"{config!r} must name an earlier stage of the study. Earlier stages: {known}.")
        return str(stages[name])
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        changed = {
            field.name: _resolved(getattr(config, field.name), stages)
            for field in dataclasses.fields(config)
            if field.init
        }
        return dataclasses.replace(config, **changed)
    if isinstance(config, tuple):
        return tuple(_resolved(item, stages) for item in config)
    return config


def claim(folder: Path, stage: Stage, *, may_differ: frozenset[str] = frozenset({"label"})) -> None:
    """Write the stage's config and environment into its folder, or check them against what is there.

    Args:
        folder: created where it is missing.
        stage: what is about to run.
        may_differ: fields of the stage whose change is no reason to refuse.

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
    """Store a stage's final evaluations, from process 0; their presence says that the stage is finished."""
    if jax.process_index() != 0:
        return
    temporary = folder / "evaluation.tmp"
    values = {name: json.loads(result.to_json()) for name, result in evaluations.items()}
    temporary.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n")
    os.replace(temporary, folder / "evaluation.json")


def read_evaluations(folder: Path) -> dict[str, Evaluation] | None:
    """What `write_evaluations` stored; None where the stage is not finished."""
    path = folder / "evaluation.json"
    if not path.exists():
        return None
    return {name: Evaluation.from_json(json.dumps(value)) for name, value in json.loads(path.read_text()).items()}


def environment() -> dict[str, Any]:
    """Versions, device and command of this process: what a result needs beside it."""
    packages = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "transformers", "numpy")
    return {
        "argv": sys.argv,
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: metadata.version(name) for name in packages},
        "device_kind": jax.devices()[0].device_kind,
        "device_count": jax.device_count(),
        "process_count": jax.process_count(),
    }


def _git_commit() -> str | None:
    """Of the checkout that this package runs from, with "+" where files were changed."""
    root = Path(__file__).parent.parent.parent
    try:
        commit = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "-C", str(root), "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changed else "")
