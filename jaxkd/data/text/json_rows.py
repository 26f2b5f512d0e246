"""Files of one JSON object a line, read so that every fault is told with its line."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from jaxkd.typing import Split

Row = TypeVar("Row")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitFiles:
    """A source with one file a split."""

    train: str | None = None
    """Path of the file, or of a folder with a `train.jsonl`, as a `Generate` stage writes; None if it is not used."""
    validation: str | None = None
    test: str | None = None

    def file(self, split: Split) -> Path:
        """The file of a split.

        Raises:
            ValueError: none for the split.
            FileNotFoundError: it does not exist.
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


def read(path: Path, parse: Callable[[dict[str, Any], str], Row]) -> list[Row]:
    """What `parse` makes of each row and its key, `FILE:LINE`; empty lines are left out.

    Raises:
        ValueError: rows that are not JSON objects or that `parse` refuses (all are counted, the first is shown), no
            rows.
    """
    rows, faults = [], []
    # Lines are decoded one by one, so that a wrong byte is reported with its line.
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
    """A conversation as (role, text) pairs.

    Raises:
        ValueError: something else, or fewer messages.
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
    """A field that must be a string.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a string, got {kind(value)}.")
    return value


def kind(value: Any) -> str:
    """What JSON calls a value."""
    if isinstance(value, dict):
        return f"an object with the fields {sorted(value)}"
    names = {list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "null")
