"""CRC-32 of files, by which damage is noticed: a flipped bit, a zeroed block, a lost end."""

import zlib
from collections.abc import Mapping
from pathlib import Path

from jaxkd.runtime.storage.files import read_json, write_json

FILE = "checksums.json"
"""File of a folder that holds the checksums of the other ones, by their paths in it."""

_BLOCK = 1 << 20


def of_file(path: Path) -> int:
    """Return the CRC-32 of a file."""
    checksum = 0
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            checksum = zlib.crc32(block, checksum)
    return checksum


def write(folder: Path, files: Mapping[str, Path]) -> None:
    """Store the checksums of the files of a folder, by the names that they are going to have in it."""
    write_json(folder / FILE, {name: of_file(path) for name, path in files.items()})


def damaged(folder: Path, *, under: str = "") -> Path | None:
    """Return the first file that is missing or is not as `write` found it; None if all are.

    Args:
        folder: folder whose files are read; without checksums nothing is known to be damaged.
        under: beginning of the names of the files to read.
    """
    stored = folder / FILE
    if not stored.is_file():
        return None
    try:
        expected = read_json(stored).items()
    except (ValueError, AttributeError):
        return stored
    paths = ((folder / name, checksum) for name, checksum in expected if name.startswith(under))
    return next((path for path, checksum in paths if not path.is_file() or of_file(path) != checksum), None)
