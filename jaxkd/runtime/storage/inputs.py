"""Contents of the files that a config names: stored when a run begins, compared when it resumes."""

import dataclasses
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from jaxkd.runtime.storage.files import read_json, write_json
from jaxkd.typing import Split

FILE = "inputs.json"


@runtime_checkable
class NamesFiles(Protocol):
    """Part of a config with fields that name files."""

    def input_hashes(self, split: Split) -> dict[str, str]:
        """Return hashes of all that a reader of the split reads from them, by field."""
        ...


def store(folder: Path, config: Any, *, may_differ: Collection[str] = ()) -> None:
    """Store the hashes of the inputs of a config in a run's folder.

    Args:
        folder: folder of the run.
        config: config of the run.
        may_differ: fields of the config that may name other files when the run resumes.
    """
    write_json(folder / FILE, {_key(name, value, may_differ): hashed for name, value, hashed in _found(config)})


def require_unchanged(folder: Path, config: Any, *, may_differ: Collection[str] = ()) -> None:
    """Reject inputs other than those that `store` found; a file that a field of `may_differ` did not name is accepted.

    Raises:
        ValueError: other contents; the fields are named with their values.
    """
    path = folder / FILE
    if not path.is_file():
        return  # a run of an older version
    before = read_json(path)
    changed = []
    for name, value, hashed in _found(config):
        # Older versions stored the inputs of the recipe alone, by their names in it.
        older = before.get(name.removeprefix("recipe."), hashed)
        if before.get(_key(name, value, may_differ), older) != hashed:
            changed.append(f"{name} {value!r}")
    if changed:
        raise ValueError(
            f"{', '.join(changed)} must have the contents with which the run in {folder} began, got others. Restore "
            "them, or name another --workdir."
        )


def _key(name: str, value: Any, may_differ: Collection[str]) -> str:
    return f"{name} {value!r}" if name.partition(".")[0] in may_differ else name


def _found(config: Any) -> Iterator[tuple[str, Any, str]]:
    return _inputs(config, "", "train")


def _inputs(config: Any, name: str, split: Split) -> Iterator[tuple[str, Any, str]]:
    """Yield name and value of each field that names files, and its hash for the split that is nearest around it."""
    if isinstance(config, tuple):
        for number, item in enumerate(config):
            yield from _inputs(item, f"{name}.{number}", split)
    elif isinstance(config, NamesFiles):
        for field, hashed in config.input_hashes(split).items():
            yield f"{name}.{field}".lstrip("."), getattr(config, field), hashed
    elif dataclasses.is_dataclass(config):
        nearest: Split = getattr(config, "split", split)
        for field in dataclasses.fields(config):
            yield from _inputs(getattr(config, field.name), f"{name}.{field.name}".lstrip("."), nearest)
