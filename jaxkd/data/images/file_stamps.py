"""Sizes and times of files, by which caches notice that one changed, and files whose contents are equal."""

import functools
import itertools
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

from jaxkd.runtime.packages import file_sha256

Stamp: TypeAlias = tuple[int, int]
"""Size and time of modification of a file."""


def stamp(path: Path) -> Stamp:
    """Return size in bytes and time of modification in nanoseconds.

    Raises:
        FileNotFoundError: a missing file.
    """
    found = path.stat()
    return found.st_size, found.st_mtime_ns


@functools.lru_cache(maxsize=2**16)
def stamped_sha256(path: Path, stamp: Stamp) -> str:
    """Return the sha256 of a file, which is read once for each stamp."""
    del stamp  # a changed file is read again
    return file_sha256(path)


def warn_of_equal_files(splits: Mapping[str, Iterable[tuple[str, Path, Stamp]]], log: logging.Logger) -> None:
    """Log a warning for every two splits with files of equal contents.

    Args:
        splits: key, path and stamp of each file of a split.
        log: logger of the source.
    """
    contents = {
        split: {stamped_sha256(path, stamped): key for key, path, stamped in files} for split, files in splits.items()
    }
    for (one, left), (other, right) in itertools.combinations(contents.items(), 2):
        if shared := sorted(left.keys() & right.keys(), key=lambda digest: left[digest]):
            keys = left[shared[0]], right[shared[0]]
            log.warning("%s and %s share %d images, for example %s and %s", one, other, len(shared), *keys)
