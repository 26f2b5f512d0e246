"""Rows of numbers by example in one file, with a CRC-32 of each example's rows in another."""

import logging
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import ml_dtypes
import numpy as np

from jaxkd.runtime.storage.free_space import allocate

_log = logging.getLogger(__name__)

_UNKNOWN = 0
"""Checksum of an example that is not written yet."""

DTYPES = {
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}
"""Dtypes by their names in a manifest."""


class CheckedRows:
    """Rows of the examples in their files, and the checksums of those that are written."""

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        offsets: np.ndarray,
        shape: tuple[int, ...],
        dtype: np.dtype,
        checksums: str | None,
        mode: Literal["r", "r+"],
    ):
        """Open the files, which `create` made.

        Args:
            folder: folder of the files.
            name: file of the rows.
            offsets: first row of each example, and the number of all rows.
            shape: shape of a row.
            dtype: dtype of the numbers.
            checksums: file of the checksums; None for a cache of an older version, which has none.
            mode: whether rows may be written.

        Raises:
            ValueError: a file that is damaged.
        """
        self._folder, self._name = folder, name
        self._offsets, self._dtype = offsets, dtype
        self._array = mapped(folder, name, mode=mode)
        stored, whole = _stored_as(dtype), (int(offsets[-1]), *shape)
        if (self._array.dtype, self._array.shape) != (stored, whole):
            found = f"{self._array.dtype}{list(self._array.shape)}"
            raise damaged(folder, name, f"an array {found} where {stored}{list(whole)} was written")
        self._checksums: np.memmap | None = None
        if checksums is None:
            _log.warning("%s was made by an older version, without checksums: damage to it would go unseen", folder)
        else:
            self._checksums = mapped(folder, checksums, mode=mode)
        self._checked = np.zeros(len(offsets) - 1, np.bool_)
        self._new_checksums: dict[int, int] = {}

    def read(self, index: int) -> np.ndarray:
        """Return the rows of an example as float32, compared with their checksum when they are first read.

        Raises:
            ValueError: rows that are not as they were written.
        """
        if not self._checked[index]:
            self._check(index)
            self._checked[index] = True
        return np.asarray(self._bits(index)).view(self._dtype).astype(np.float32)

    def write(self, index: int, values: np.ndarray) -> None:
        """Store the rows of an example, whose checksum does not hold from then on until `flush`."""
        stored = np.ascontiguousarray(values.astype(self._dtype)).view(_stored_as(self._dtype))
        if self._checksums is not None:
            self._checksums[index] = _UNKNOWN
        self._bits(index)[:] = stored
        self._new_checksums[index] = zlib.crc32(stored.data)

    def flush(self) -> None:
        """Make rows durable, and then their checksums."""
        self._array.flush()
        if self._checksums is not None:
            self._checksums[list(self._new_checksums)] = list(self._new_checksums.values())
            self._checksums.flush()
        self._new_checksums = {}

    def check_written(self) -> None:
        """Compare all examples that have a checksum with it.

        Raises:
            ValueError: rows that are not as they were written.
        """
        for index in np.flatnonzero(() if self._checksums is None else self._checksums != _UNKNOWN):
            self._check(int(index))

    def _bits(self, index: int) -> np.ndarray:
        return self._array[self._offsets[index] : self._offsets[index + 1]]

    def _check(self, index: int) -> None:
        if self._checksums is not None and zlib.crc32(self._bits(index).data) != self._checksums[index]:
            raise damaged(self._folder, self._name, f"rows of example {index} that differ from those that were written")


def create(folder: Path, files: Mapping[str, tuple[np.dtype, tuple[int, ...]]]) -> None:
    """Create files of zeros, by their names, with all of their disk.

    Args:
        folder: folder of the files.
        files: dtype and shape of each.

    Raises:
        OSError: the disk has no room for them.
    """
    for name, (dtype, shape) in files.items():
        path = folder / name
        np.lib.format.open_memmap(path, mode="w+", dtype=_stored_as(dtype), shape=shape)
        try:
            allocate(path, path.stat().st_size)
        except OSError:
            path.unlink()
            raise


def mapped(folder: Path, name: str, *, mode: Literal["r", "r+"]) -> np.memmap:
    """Map the array of a file into memory.

    Raises:
        ValueError: a file that is missing or damaged.
    """
    try:
        # To read first: where a truncated file is opened for writing, NumPy extends it by zeros.
        array = np.lib.format.open_memmap(folder / name, mode="r")
        return array if mode == "r" else np.lib.format.open_memmap(folder / name, mode=mode)
    except (OSError, ValueError) as error:
        raise damaged(folder, name, f"a file that cannot be read ({error})") from error


def damaged(folder: Path, name: str, found: str) -> ValueError:
    """Return the error of a file that is not as it was written."""
    return ValueError(
        f"{folder / name} must be as it was written, got {found}. It is damaged: remove {folder} and run its stage "
        "again."
    )


def _stored_as(dtype: np.dtype) -> np.dtype:
    """Return the unsigned integers of the same bits: NumPy files cannot name bfloat16."""
    return np.dtype(f"u{dtype.itemsize}")
