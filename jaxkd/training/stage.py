"""Stages of a study: each runs in its own folder and can be run again."""

import abc
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

STAGE_PREFIX = "stage:"

Config = TypeVar("Config")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """Requirements of a stage, computed without running it."""

    description: str
    """Lines for a reader."""
    memory: float | None = None
    """Bytes of one device that a training step needs; None for a stage without one, or if it is not known."""
    flops: float = 0.0
    """Floating-point operations of the matrix products of all training steps, over all devices."""
    devices: int = 1
    """Devices that share them."""
    bfloat16: bool = False
    """Whether they are computed in bfloat16."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage(abc.ABC):
    """One step of a study; `--only NAME` runs it alone."""

    name: str
    """Name of the stage's folder in the study, and its prefix on the command line."""
    label: str | None = None
    """Label of the stage's row in the study's table; None leaves it out."""

    @property
    def seeded(self) -> bool:
        """Whether the stage runs once for each seed of the study.  Default: no."""
        return False

    @property
    def double_precision(self) -> bool:
        """Whether the stage computes in float64, for which a program sets up JAX.  Default: no."""
        return False

    @abc.abstractmethod
    def validate(self) -> None:
        """Reject what cannot work, before any stage of the study starts."""

    def disk_bytes(self, folder: Path) -> int:
        """Return the bytes that the stage will still write into its folder, as far as known before it starts."""
        del folder
        return 0

    def plan(self) -> Plan:
        """Describe what the stage would do, and start nothing.  Default: its kind."""
        return Plan(description=type(self).__name__)

    @abc.abstractmethod
    def run(self, folder: Path, *, seed: int, stages: Mapping[str, Path]) -> None:
        """Do the work, or the unfinished part of it.

        Args:
            folder: folder of this stage and seed; created if missing.
            seed: seed of the study.
            stages: folders of the earlier stages, for "stage:NAME" in the config.
        """

    @abc.abstractmethod
    def provenance(self) -> str:
        """Return one line that names the models actually used."""


def refers_to_stage(config: object) -> bool:
    """Whether a "stage:NAME" stands in a config: what it describes is made by an earlier stage."""
    return bool(referenced_stages(config))


def referenced_stages(config: object) -> frozenset[str]:
    """Return each NAME of a "stage:NAME" in a config."""
    if dataclasses.is_dataclass(config):
        return frozenset().union(*(referenced_stages(getattr(config, one.name)) for one in dataclasses.fields(config)))
    if isinstance(config, tuple):
        return frozenset().union(*map(referenced_stages, config))
    if isinstance(config, str) and config.startswith(STAGE_PREFIX):
        return frozenset({config.removeprefix(STAGE_PREFIX)})
    return frozenset()


def resolve(config: Config, stages: Mapping[str, Path]) -> Config:
    """Replace each "stage:NAME" in `config` by that stage's folder.

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
