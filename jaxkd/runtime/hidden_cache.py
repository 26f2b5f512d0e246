"""Teacher outputs on disk: run the teacher once, train as often as you like.

The `hidden` codec stores the teacher's final hidden state at every target position.  With the
teacher's head, every logit of the full vocabulary is exact, at `width` numbers per token instead of
`vocabulary`.

A cache is a folder: `manifest.json` (its origin), `offsets.npy` (first row of each example),
`hidden.npy` (rows), `checksums.npy` (CRC-32 of each example's rows), `progress.json` (batches
finished).  It can be read only when complete, and writing resumes where it was interrupted.
"""

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from jaxkd.runtime.storage.cache_folder import (
    MANIFEST,
    PROGRESS,
    CacheWriter,
    begun,
    complete_manifest,
    read_manifest,
    require_identity,
)
from jaxkd.runtime.storage.checked_rows import DTYPES, CheckedRows, create, damaged, mapped
from jaxkd.runtime.storage.files import write_json

__all__ = ["MANIFEST", "PROGRESS", "HiddenCache", "HiddenCacheWriter", "StoredDtype", "disk_bytes"]

_OFFSETS, _ROWS, _CHECKSUMS = "offsets.npy", "hidden.npy", "checksums.npy"

StoredDtype = Literal["float32", "bfloat16"]

_DTYPES = {name: DTYPES[name] for name in ("float32", "bfloat16")}


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
        manifest = complete_manifest(folder, identity)
        self._rows = _rows(folder, manifest, mode="r")
        self.width = int(manifest["width"])

    def __call__(self, index: int) -> np.ndarray:
        """Return the rows of an example, compared with their checksum when they are first read.

        Raises:
            ValueError: rows that are not as they were written.
        """
        return self._rows.read(index)


class HiddenCacheWriter(CacheWriter):
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
        if begun(folder):
            manifest = read_manifest(folder)
            require_identity(folder, {**manifest["identity"], "dtype": manifest["dtype"]}, {**identity, "dtype": dtype})
        else:
            offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
            manifest = {
                "identity": dict(identity),
                "width": width,
                "dtype": dtype,
                "complete": False,
                "offsets_checksum": zlib.crc32(offsets.tobytes()),
            }
            folder.mkdir(parents=True, exist_ok=True)
            np.save(folder / _OFFSETS, offsets)
            rows = (_DTYPES[dtype], (int(offsets[-1]), width))
            create(folder, {_ROWS: rows, _CHECKSUMS: (np.dtype(np.uint32), (len(sizes),))})
            # Last, because its presence implies that the other files exist.
            write_json(folder / MANIFEST, manifest)
        self._hidden = _rows(folder, manifest, mode="r+")
        super().__init__(folder, manifest, [self._hidden])

    def write(self, example_ids: np.ndarray, values: np.ndarray) -> None:
        """Store one batch.

        Args:
            example_ids: [b k] index of the example of each target, -1 if there is none; the
                targets of an example are adjacent and in order, as packing leaves them.
            values: [b k width] rows to store.
        """
        for ids, row in zip(example_ids, values, strict=True):
            for index in np.unique(ids[ids >= 0]):
                self._hidden.write(int(index), row[ids == index])
        self.batches_done += 1


def disk_bytes(sizes: Sequence[int], *, width: int, dtype: StoredDtype) -> int:
    """Return the bytes of a cache, but for its small files; arguments as of `HiddenCacheWriter`."""
    return sum(sizes) * width * _DTYPES[dtype].itemsize


def _rows(folder: Path, manifest: Mapping[str, Any], *, mode: Literal["r", "r+"]) -> CheckedRows:
    offsets = mapped(folder, _OFFSETS, mode="r")
    if zlib.crc32(offsets.data) != manifest.get("offsets_checksum", zlib.crc32(offsets.data)):
        raise damaged(folder, _OFFSETS, "offsets that differ from those that were written")
    return CheckedRows(
        folder,
        _ROWS,
        offsets=offsets,
        shape=(int(manifest["width"]),),
        dtype=_DTYPES[manifest["dtype"]],
        checksums=_CHECKSUMS if "offsets_checksum" in manifest else None,
        mode=mode,
    )
