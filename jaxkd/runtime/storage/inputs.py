"""Contents of the files that a config names: stored when a run begins, compared when it resumes."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from jaxkd.runtime.storage.files import read_json, write_json

FILE = "inputs.json"


@runtime_checkable
class NamesFiles(Protocol):
    """Part of a config with fields that name files."""

    def input_hashes(self) -> dict[str, str]:
        """Return hashes of all that training reads from them, by field."""
        ...


def store(folder: Path, config: Any) -> None:
    """Store the hashes of the inputs of a config in a run's folder."""
    write_json(folder / FILE, {name: hashed for name, _, hashed in _inputs(config, "")})


def require_unchanged(folder: Path, config: Any) -> None:
    """Reject inputs other than those that `store` found; runs of older versions stored none.

    Raises:
        ValueError: other contents; the fields are named with their values.
    """
    path = folder / FILE
    if not path.is_file():
        return
    before = read_json(path)
    changed = [f"{name} {value!r}" for name, value, hashed in _inputs(config, "") if before.get(name, hashed) != hashed]
    if changed:
        raise ValueError(
            f"{', '.join(changed)} must have the contents with which the run in {folder} began, got others. Restore "
            "them, or name another --workdir."
        )


def _inputs(config: Any, name: str) -> Iterator[tuple[str, Any, str]]:
    """Yield name, value and hash of each field that names files."""
    if isinstance(config, tuple):
        for number, item in enumerate(config):
            yield from _inputs(item, f"{name}.{number}")
    elif isinstance(config, NamesFiles):
        for field, hashed in config.input_hashes().items():
            yield f"{name}.{field}".lstrip("."), getattr(config, field), hashed
    elif dataclasses.is_dataclass(config):
        for field in dataclasses.fields(config):
            yield from _inputs(getattr(config, field.name), f"{name}.{field.name}")
