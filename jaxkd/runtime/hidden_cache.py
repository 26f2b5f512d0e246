"""Teacher outputs on disk: run the teacher once, train as often as you like.

The `hidden` codec stores the teacher's final hidden state at every target position.  With the
teacher's head, every logit of the full vocabulary is exact, at `width` numbers per token instead of
`vocabulary`.

A cache is a folder: `manifest.json` (its origin), `offsets.npy` (first row of each example),
`hidden.npy` (rows), `checksums.npy` (CRC-32 of each example's rows), `progress.json` (batches
finished).  It can be read only when complete, and writing resumes where it was interrupted.
"""

import logging
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import ml_dtypes
import numpy as np

from jaxkd.runtime.storage.files import read_json, write_json
from jaxkd.runtime.storage.free_space import allocate

_log = logging.getLogger(__name__)

MANIFEST, PROGRESS = "manifest.json", "progress.json"
_OFFSETS, _ROWS, _CHECKSUMS = "offsets.npy", "hidden.npy", "checksums.npy"
_UNKNOWN = 0
"""Checksum of an example that is not written yet."""

StoredDtype = Literal["float32", "bfloat16"]

_DTYPES = {"float32": np.dtype(np.float32), "bfloat16": np.dtype(ml_dtypes.bfloat16)}


class HiddenCache:
    """Hidden states of examples, by index: `cache(index) -> [targets, width]` float32."""

    def __init__(self, folder: Path, identity: Mapping[str, str]):
        """Open a finished cache.

        Args:
            folder: folder written by `HiddenCacheWriter`.
            identity: hashes of the model, tokenizer, data and template in use.

        Raises:
            FileNotFoundError: a folder without a cache.
            ValueError: a cache of something else (the fields are named), incomplete, or damaged.
        """
        manifest = _read_manifest(folder)
        _require_identity(folder, manifest["identity"], identity)
        if not manifest["complete"]:
            raise ValueError(
                f"the cache in {folder} must be complete, got {_batches_done(folder)} batches so far. "
                "Run its stage again: it resumes where it stopped."
            )
        self._rows = _Rows(folder, manifest, mode="r")
        self._dtype = _DTYPES[manifest["dtype"]]
        self._checked = np.zeros(self._rows.examples, np.bool_)
        self.width = int(manifest["width"])

    def __call__(self, index: int) -> np.ndarray:
        """Return the rows of an example, compared with their checksum when they are first read.

        Raises:
            ValueError: rows that are not as they were written.
        """
        if not self._checked[index]:
            self._rows.check(index)
            self._checked[index] = True
        return np.asarray(self._rows[index]).view(self._dtype).astype(np.float32)


class HiddenCacheWriter:
    """Writer of a cache, batch by batch; a batch is recorded whole or redone."""

    def __init__(
        self, folder: Path, identity: Mapping[str, str], *, sizes: Sequence[int], width: int, dtype: StoredDtype
    ):
        """Create a cache, or compare what an interrupted one holds with its checksums and resume it.

        Args:
            folder: folder of the cache, created if missing.
            identity: hashes of the model, tokenizer, data and template.
            sizes: number of target positions of each example, by index.
            width: width of a hidden state.
            dtype: stored dtype; bfloat16 halves the size and rounds to 8 bits of mantissa.

        Raises:
            ValueError: an unknown dtype, or a folder with a cache of something else, or with a damaged one.
            OSError: the disk has no room for the cache.
        """
        if dtype not in _DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(_DTYPES)}, got {dtype!r}.")
        self._folder = folder
        self._dtype = _DTYPES[dtype]
        self._new_checksums: dict[int, int] = {}
        # Without a finished batch there is nothing to resume.
        if (folder / MANIFEST).exists() and (folder / PROGRESS).exists():
            manifest = _read_manifest(folder)
            _require_identity(
                folder, manifest["identity"], {**identity, "dtype": dtype}, stored_dtype=manifest["dtype"]
            )
            self._manifest = manifest
            self.batches_done = _batches_done(folder)
            self._rows = _Rows(folder, manifest, mode="r+")
            if not self.complete:
                self._rows.check_written()
            return
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._manifest = {
            "identity": dict(identity),
            "width": width,
            "dtype": dtype,
            "complete": False,
            "offsets_checksum": zlib.crc32(offsets.tobytes()),
        }
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / _OFFSETS, offsets)
        _create(folder / _ROWS, _stored_as(self._dtype), (int(offsets[-1]), width))
        _create(folder / _CHECKSUMS, np.dtype(np.uint32), (len(sizes),))
        self.batches_done = 0
        # Last, because its presence implies that the other files exist.
        write_json(folder / MANIFEST, self._manifest)
        self._rows = _Rows(folder, self._manifest, mode="r+")

    @property
    def complete(self) -> bool:
        return bool(self._manifest["complete"])

    def write(self, example_ids: np.ndarray, values: np.ndarray) -> None:
        """Store one batch.

        Args:
            example_ids: [b k] index of the example of each target, -1 if there is none; the
                targets of an example are adjacent and in order, as packing leaves them.
            values: [b k width] rows to store.
        """
        for ids, row in zip(example_ids, values, strict=True):
            for index in np.unique(ids[ids >= 0]):
                stored = np.ascontiguousarray(row[ids == index].astype(self._dtype)).view(_stored_as(self._dtype))
                self._rows.write(index, stored)
                self._new_checksums[int(index)] = zlib.crc32(stored.data)
        self.batches_done += 1

    def flush(self) -> None:
        """Make everything written so far survive a crash."""
        self._rows.flush(self._new_checksums)
        self._new_checksums = {}
        write_json(self._folder / PROGRESS, {"batches_done": self.batches_done})

    def finish(self) -> None:
        """Mark the cache as complete; only then can it be opened."""
        self.flush()
        self._manifest["complete"] = True
        write_json(self._folder / MANIFEST, self._manifest)


class _Rows:
    """Rows of the examples in their files, and the checksums of those that are written."""

    def __init__(self, folder: Path, manifest: Mapping, *, mode: Literal["r", "r+"]):
        self._folder = folder
        self._offsets = _mapped(folder, _OFFSETS, mode="r")
        if zlib.crc32(self._offsets.data) != manifest.get("offsets_checksum", zlib.crc32(self._offsets.data)):
            raise _damaged(folder, _OFFSETS, "offsets that differ from those that were written")
        self._array = _mapped(folder, _ROWS, mode=mode)
        dtype, shape = _stored_as(_DTYPES[manifest["dtype"]]), (int(self._offsets[-1]), int(manifest["width"]))
        if (self._array.dtype, self._array.shape) != (dtype, shape):
            found = f"{self._array.dtype}{list(self._array.shape)}"
            raise _damaged(folder, _ROWS, f"an array {found} where {dtype}{list(shape)} was written")
        self._checksums: np.memmap | None = None
        if "offsets_checksum" in manifest:
            self._checksums = _mapped(folder, _CHECKSUMS, mode=mode)
        else:
            _log.warning("%s was made by an older version, without checksums: damage to it would go unseen", folder)

    def __getitem__(self, index: int) -> np.ndarray:
        """Return the stored bits of the rows of an example."""
        return self._array[self._offsets[index] : self._offsets[index + 1]]

    @property
    def examples(self) -> int:
        return len(self._offsets) - 1

    def check(self, index: int) -> None:
        """Compare an example with its checksum."""
        if self._checksums is not None and zlib.crc32(self[index].data) != self._checksums[index]:
            raise _damaged(self._folder, _ROWS, f"rows of example {index} that differ from those that were written")

    def check_written(self) -> None:
        """Compare all examples that have a checksum with it."""
        for index in np.flatnonzero(() if self._checksums is None else self._checksums != _UNKNOWN):
            self.check(int(index))

    def write(self, index: int, stored: np.ndarray) -> None:
        """Store the bits of an example, whose checksum does not hold from then on until `flush`."""
        if self._checksums is not None:
            self._checksums[index] = _UNKNOWN
        self[index][:] = stored

    def flush(self, checksums: Mapping[int, int]) -> None:
        """Make rows durable, and then their checksums."""
        self._array.flush()
        if self._checksums is not None:
            self._checksums[list(checksums)] = list(checksums.values())
            self._checksums.flush()


def disk_bytes(sizes: Sequence[int], *, width: int, dtype: StoredDtype) -> int:
    """Return the bytes of a cache, but for its small files; arguments as of `HiddenCacheWriter`."""
    return sum(sizes) * width * _DTYPES[dtype].itemsize


def _stored_as(dtype: np.dtype) -> np.dtype:
    """Return the unsigned integers of the same bits: NumPy files cannot name bfloat16."""
    return np.dtype(f"u{dtype.itemsize}")


def _create(path: Path, dtype: np.dtype, shape: tuple[int, ...]) -> None:
    """Create an array of zeros with all of its disk."""
    np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    try:
        allocate(path, path.stat().st_size)
    except OSError:
        path.unlink()
        raise


def _mapped(folder: Path, name: str, *, mode: Literal["r", "r+"]) -> np.memmap:
    """Map the array of a file into memory."""
    try:
        # To read first: where a truncated file is opened for writing, NumPy extends it by zeros.
        array = np.lib.format.open_memmap(folder / name, mode="r")
        return array if mode == "r" else np.lib.format.open_memmap(folder / name, mode=mode)
    except (OSError, ValueError) as error:
        raise _damaged(folder, name, f"a file that cannot be read ({error})") from error


def _damaged(folder: Path, name: str, found: str) -> ValueError:
    return ValueError(
        f"{folder / name} must be as it was written, got {found}. It is damaged: remove {folder} and run its stage "
        "again."
    )


def _read_manifest(folder: Path) -> dict:
    path = folder / MANIFEST
    if not path.exists():
        raise FileNotFoundError(
            f"teacher_cache must be a folder with a manifest.json, got {folder}. Run its stage first."
        )
    return read_json(path)


def _require_identity(
    folder: Path, found: Mapping[str, str], wanted: Mapping[str, str], *, stored_dtype: str | None = None
) -> None:
    found = dict(found) if stored_dtype is None else {**found, "dtype": stored_dtype}
    different = [name for name in wanted if found.get(name) != wanted[name]]
    if different:
        raise ValueError(
            f"the cache in {folder} must be made from the same {', '.join(wanted)}, but differs in "
            f"{', '.join(different)}. Use another folder, or remove this one to rebuild it."
        )


def _batches_done(folder: Path) -> int:
    path = folder / PROGRESS
    return int(read_json(path)["batches_done"]) if path.exists() else 0
