"""JSON Lines files, read so that every error is reported with its line, and every unused field with its file."""

import functools
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from jaxkd.data.text.file_format import require_json_lines
from jaxkd.runtime.packages import file_sha256

_log = logging.getLogger(__name__)

Parsed = TypeVar("Parsed")

ROLES = ("system", "user", "assistant", "tool")
"""Roles of messages."""

_ALIASES = {"human": "user", "gpt": "assistant"}
"""ShareGPT's names of roles."""


class JsonRow(dict[str, Any]):
    """A JSON object that knows which of its fields were read."""

    __slots__ = ("read",)

    def __init__(self, fields: dict[str, Any]):
        super().__init__(fields)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field, or `default`."""
        self.read.add(name)
        return super().get(name, default)

    def unread(self) -> set[str]:
        """Return the fields that were not read, and those of objects in lists that were."""
        found = {name for name in self if name not in self.read}
        for name in self.keys() - found:
            value = super().__getitem__(name)
            for item in value if isinstance(value, list) else ():
                if isinstance(item, JsonRow) and item.read:
                    found |= {f"{name}[].{inner}" for inner in item.unread()}
        return found


def read(path: Path, parse: Callable[[JsonRow, str], Parsed]) -> list[Parsed]:
    """Call `parse` on each row and its key, `FILE:LINE`; empty lines are skipped.

    Fields that `parse` does not read are logged once per file and process.  A file whose contents are unchanged is not
    parsed again, and is kept in memory: `parse` must return values that nobody modifies.

    Raises:
        ValueError: a file of another format, rows that are not JSON objects or that `parse` rejects (all are counted,
            the first is shown), no rows.
    """
    found = _parsed(path, file_sha256(path), parse)
    if found.faults:
        number, fault = found.faults[0]
        more = ", ..." if len(found.faults) > 6 else ""
        others = ", ".join(str(other) for other, _ in found.faults[1:6]) + more
        raise ValueError(
            f"{path}, line {number}: {fault} {len(found.rows)} rows were fine, {len(found.faults)} were not"
            + (f"; the others: lines {others}." if others else ".")
        )
    if not found.rows:
        raise ValueError(f"{path} must hold at least one row, got an empty file.")
    if found.unread:
        _warn_of_unread(path, ", ".join(found.unread))
    return list(found.rows)


def readable(path: Path, parse: Callable[[JsonRow, str], Parsed]) -> list[Parsed]:
    """Return the rows that `parse` accepts.

    Raises:
        ValueError: a file of another format.
    """
    return list(_parsed(path, file_sha256(path), parse).rows)


def checked(path: Path, parse: Callable[[JsonRow, str], Parsed]) -> tuple[list[Parsed], list[tuple[int, str]]]:
    """Return the rows that `parse` accepts, and the line and the fault of each other one.

    Raises:
        ValueError: a file of another format.
    """
    found = _parsed(path, file_sha256(path), parse)
    return list(found.rows), list(found.faults)


class _Parsed(NamedTuple):
    """All lines of a file that are not empty."""

    rows: tuple[Any, ...]
    faults: tuple[tuple[int, str], ...]
    """Number and fault of each line that is no row."""
    unread: tuple[str, ...]
    """Fields that were not read, in alphabetical order."""


@functools.lru_cache(maxsize=8)
def _parsed(path: Path, sha256: str, parse: Callable[[JsonRow, str], Any]) -> _Parsed:
    """Parse a file once per process while its contents stay: the stages of a study read it often."""
    del sha256  # only in the key
    data = path.read_bytes()
    require_json_lines(path, data)
    rows, faults, unread = [], [], set()
    # Lines are decoded one by one, so that an invalid byte is reported with its line.
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = _object(line)
            rows.append(parse(row, f"{path.name}:{number}"))
            unread |= row.unread()
        except ValueError as error:
            faults.append((number, str(error)))
    return _Parsed(tuple(rows), tuple(faults), tuple(sorted(unread)))


@functools.cache
def _warn_of_unread(path: Path, fields: str) -> None:
    """Log once per process: the stages of a study read a file often."""
    _log.warning("%s: ignored the fields %s", path, fields)


def _object(line: bytes) -> JsonRow:
    try:
        row = json.loads(line.decode("utf-8-sig"), object_hook=JsonRow)
    except UnicodeDecodeError as error:
        raise ValueError(f"a row must be UTF-8, got {error.reason} at byte {error.start}.") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"a row must be JSON, got {error.msg} at column {error.colno}.") from error
    except RecursionError as error:
        raise ValueError(
            "a row must be JSON of a few levels, got objects or lists nested too deeply to read."
        ) from error
    if not isinstance(row, JsonRow):
        raise ValueError(f"a row must be a JSON object, got {kind(row)}.")
    return row


def turns(messages: Any, name: str, *, at_least: int) -> tuple[tuple[str, str], ...]:
    """Return a conversation as (role, text) pairs.

    A message is `{"role": ..., "content": ...}`, or `{"from": ..., "value": ...}` as in ShareGPT.

    Raises:
        ValueError: no conversation, fewer messages, or an unknown role.
    """
    if not isinstance(messages, list) or len(messages) < at_least:
        count = len(messages) if isinstance(messages, list) else kind(messages)
        needs = "a prompt and its response" if at_least > 1 else "one message"
        raise ValueError(f'"{name}" must be a list of at least {needs}, got {count}.')
    return tuple(_turn(message, f'"{name}"[{place}]') for place, message in enumerate(messages))


def _turn(message: Any, name: str) -> tuple[str, str]:
    for fields in (("role", "content"), ("from", "value")):
        if isinstance(message, dict) and message.keys() >= {*fields}:
            role, content = (text(message[field], f'{name}["{field}"]') for field in fields)
            role = _ALIASES.get(role, role)
            if role not in ROLES:
                raise ValueError(
                    f'{name}["{fields[0]}"] must be one of {", ".join((*ROLES, *_ALIASES))}, got {role!r}.'
                )
            return role, content
    raise ValueError(f'{name} must be an object with "role" and "content", got {kind(message)}.')


def text(value: Any, name: str) -> str:
    """Return a field that must be a string.

    Raises:
        ValueError: not a string, or one that is not Unicode.
    """
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a string, got {kind(value)}.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name} must be Unicode text, got half of a surrogate pair, {value[error.start]!a}, at character "
            f"{error.start + 1}. Replace it, or leave the row out."
        ) from error
    return value


def kind(value: Any) -> str:
    """Return the JSON type of a value."""
    if isinstance(value, dict):
        return f"an object with the fields {sorted(value)}"
    names = {list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "null")
