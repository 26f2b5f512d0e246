"""A stage of a study: something that runs in a folder of its own and can be run again."""

import abc
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

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
