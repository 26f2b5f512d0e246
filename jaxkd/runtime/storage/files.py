"""Small files, text and JSON, that a crash or a full disk leaves as they were."""

import contextlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def write_text(path: Path, text: str) -> None:
    """Replace a file: a reader sees the old contents or the new ones, also after a power failure.

    Raises:
        OSError: the disk is full, or the folder cannot be written; the old file is unchanged.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with naming(path), open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def append(path: Path, text: str) -> None:
    """Add text to the end of a file, which is created if missing.

    Raises:
        OSError: the disk is full, or the folder cannot be written; a part of the text may be there.
    """
    with naming(path), open(path, "a", encoding="utf-8") as file:
        file.write(text)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name the file whose writing fails in a block: a full disk is noticed by a write, which knows no path."""
    try:
        yield
    except OSError as error:
        raise OSError(
            error.errno,
            f"the file must be one that can be written ({error.strerror}). Free some disk, or choose another place for",
            str(path),
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Replace a file by JSON; numbers that JSON lacks become the strings "nan", "inf" and "-inf".

    Raises:
        OSError: as `write_text`.
    """
    write_text(path, to_json(value) + "\n")


def to_json(value: Any) -> str:
    """Return the text that `write_json` writes, without the last newline.

    Example:
        >>> to_json([1.5, float("inf")]).split()
        ['[', '1.5,', '"inf"', ']']
    """
    return json.dumps(_finite(value), indent=1, ensure_ascii=False, allow_nan=False)


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that is not JSON, by name.
    """
    content = path.read_bytes()
    try:
        return json.loads(content)
    except ValueError as error:
        raise ValueError(
            f"{path} must be JSON, got {len(content)} bytes that are not ({error}). A full disk or a crash may have "
            "damaged it. Remove it and run the same command again."
        ) from error


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(float(value))
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, where its file system can."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        # Some network file systems sync no folder; the file itself is durable.
        pass
    finally:
        os.close(handle)
