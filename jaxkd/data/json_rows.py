"""Files of one JSON object a line, read so that every fault is told with its line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from jaxkd.data.examples import Split

Row = TypeVar("Row")


def file_of(split: Split, files: dict[Split, str | None], *, owner: str) -> Path:
    """The file that a source has for a split; `SPLIT.jsonl` where it names a folder.

    Args:
        split: asked for.
        files: path of each split's file or folder; None where the split is not used.
        owner: name of the source, for the message.

    Raises:
        ValueError: no file for the split.
        FileNotFoundError: the file does not exist.
    """
    name = files[split]
    if name is None:
        raise ValueError(f"{owner}.{split} must name a file, got None. Give {split}=PATH.")
    path = Path(name).expanduser()
    if path.is_dir():
        path /= f"{split}.jsonl"
    if not path.is_file():
        raise FileNotFoundError(f"{owner}.{split} must name an existing file, got {name!r} ({path.absolute()}).")
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
