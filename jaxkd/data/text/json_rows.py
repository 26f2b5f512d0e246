"""JSON Lines files, read so that every error is reported with its line."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from jaxkd.runtime.packages import file_sha256
from jaxkd.typing import Split

Row = TypeVar("Row")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitFiles:
    """A source with one file per split."""

    train: str | None = None
    """Path of the file, or of a folder with a `train.jsonl`, as a `Generate` stage writes; None if unused."""
    validation: str | None = None
    test: str | None = None

    def file(self, split: Split) -> Path:
        """Return the file of a split.

        Raises:
            ValueError: no file for the split.
            FileNotFoundError: a missing file.
        """
        field, name = f"{type(self).__name__}.{split}", getattr(self, split)
        if name is None:
            raise ValueError(f"{field} must name a file, got None. Give {split}=PATH.")
        path = Path(name).expanduser()
        if path.is_dir():
            path /= f"{split}.jsonl"
        if not path.is_file():
            raise FileNotFoundError(f"{field} must name an existing file, got {name!r} ({path.absolute()}).")
        return path

    def input_hashes(self) -> dict[str, str]:
        """Return the hash of the file that training reads."""
        return {} if self.train is None else {"train": file_sha256(self.file("train"))}


def read(path: Path, parse: Callable[[dict[str, Any], str], Row]) -> list[Row]:
    """Call `parse` on each row and its key, `FILE:LINE`; empty lines are skipped.

    Raises:
        ValueError: rows that are not JSON objects or that `parse` rejects (all are counted, the first is shown), no
            rows.
    """
    rows, faults = [], []
    # Lines are decoded one by one, so that an invalid byte is reported with its line.
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            rows.append(parse(_object(line), f"{path.name}:{number}"))
        except ValueError as error:
            faults.append((number, str(error)))
    if faults:
        number, fault = faults[0]
        others = ", ".join(str(other) for other, _ in faults[1:6]) + (", ..." if len(faults) > 6 else "")
        raise ValueError(
            f"{path}, line {number}: {fault} {len(rows)} rows were fine, {len(faults)} were not"
            + (f"; the others: lines {others}." if others else ".")
        )
    if not rows:
        raise ValueError(f"{path} must hold at least one row, got an empty file.")
    return rows


def _object(line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"a row must be UTF-8, got {error.reason} at byte {error.start}.") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"a row must be JSON, got {error.msg} at column {error.colno}.") from error
    if not isinstance(row, dict):
        raise ValueError(f"a row must be a JSON object, got {kind(row)}.")
    return row


def turns(messages: Any, name: str, *, at_least: int) -> tuple[tuple[str, str], ...]:
    """Return a conversation as (role, text) pairs.

    Raises:
        ValueError: no conversation, or fewer messages.
    """
    if not isinstance(messages, list) or len(messages) < at_least:
        count = len(messages) if isinstance(messages, list) else kind(messages)
        needs = "a prompt and its response" if at_least > 1 else "one message"
        raise ValueError(f'"{name}" must be a list of at least {needs}, got {count}.')
    found = []
    for place, message in enumerate(messages):
        if not isinstance(message, dict) or not {"role", "content"} <= message.keys():
            raise ValueError(f'"{name}"[{place}] must be an object with "role" and "content", got {kind(message)}.')
        role, content = (text(message[field], f'"{name}"[{place}]["{field}"]') for field in ("role", "content"))
        found.append((role, content))
    return tuple(found)


def text(value: Any, name: str) -> str:
    """Return a field that must be a string.

    Raises:
        ValueError: not a string.
    """
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a string, got {kind(value)}.")
    return value


def kind(value: Any) -> str:
    """Return the JSON type of a value."""
    if isinstance(value, dict):
        return f"an object with the fields {sorted(value)}"
    names = {list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "null")
