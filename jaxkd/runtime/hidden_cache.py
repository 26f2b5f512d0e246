"""Teacher outputs on disk: run the teacher once, train as often as you like.

The `hidden` codec stores the teacher's final hidden state at every target position.  With the
teacher's head, every logit of the full vocabulary is exact, at `width` numbers per token instead of
`vocabulary`.

A cache is a folder: `manifest.json` (its origin), `offsets.npy` (first row of each example),
`hidden.npy` (rows), `progress.json` (batches finished).  It can be read only when complete, and
writing resumes where it was interrupted.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import ml_dtypes
import numpy as np

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
            ValueError: a cache of something else (the fields are named), or incomplete.
        """
        manifest = _read_manifest(folder)
        _require_identity(folder, manifest["identity"], identity)
        self._offsets = np.load(folder / "offsets.npy")
        if not manifest["complete"]:
            raise ValueError(
                f"the cache in {folder} must be complete, got {_batches_done(folder)} batches so far. "
                "Run its stage again: it resumes where it stopped."
            )
        self._rows = np.load(folder / "hidden.npy", mmap_mode="r")
        self._dtype = _DTYPES[manifest["dtype"]]
        self.width = int(manifest["width"])

    def __call__(self, index: int) -> np.ndarray:
        rows = self._rows[self._offsets[index] : self._offsets[index + 1]]
        return np.asarray(rows).view(self._dtype).astype(np.float32)


class HiddenCacheWriter:
    """Writer of a cache, batch by batch; a batch is recorded whole or redone."""

    def __init__(
        self, folder: Path, identity: Mapping[str, str], *, sizes: Sequence[int], width: int, dtype: StoredDtype
    ):
        """Create a cache, or resume an interrupted one.

        Args:
            folder: folder of the cache, created if missing.
            identity: hashes of the model, tokenizer, data and template.
            sizes: number of target positions of each example, by index.
            width: width of a hidden state.
            dtype: stored dtype; bfloat16 halves the size and rounds to 8 bits of mantissa.

        Raises:
            ValueError: an unknown dtype, or a folder with a cache of something else.
        """
        if dtype not in _DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(_DTYPES)}, got {dtype!r}.")
        self._folder = folder
        self._dtype = _DTYPES[dtype]
        self._manifest = {"identity": dict(identity), "width": width, "dtype": dtype, "complete": False}
        self._offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        # NumPy files cannot name bfloat16: rows are stored as the unsigned integers of the same bits.
        bits = np.dtype(f"u{self._dtype.itemsize}")
        if (folder / "manifest.json").exists():
            manifest = _read_manifest(folder)
            _require_identity(
                folder, manifest["identity"], {**identity, "dtype": dtype}, stored_dtype=manifest["dtype"]
            )
            self._manifest = manifest
            self.batches_done = _batches_done(folder)
            self._rows = np.lib.format.open_memmap(folder / "hidden.npy", mode="r+")
            return
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "offsets.npy", self._offsets)
        self._rows = np.lib.format.open_memmap(
            folder / "hidden.npy", mode="w+", dtype=bits, shape=(int(self._offsets[-1]), width)
        )
        self.batches_done = 0
        _write_json(folder / "progress.json", {"batches_done": 0})
        # Last, because its presence implies that the other files exist.
        _write_json(folder / "manifest.json", self._manifest)

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
                start, end = self._offsets[index], self._offsets[index + 1]
                stored = np.ascontiguousarray(row[ids == index].astype(self._dtype))
                self._rows[start:end] = stored.view(self._rows.dtype)
        self.batches_done += 1

    def flush(self) -> None:
        """Make everything written so far survive a crash."""
        self._rows.flush()
        _write_json(self._folder / "progress.json", {"batches_done": self.batches_done})

    def finish(self) -> None:
        """Mark the cache as complete; only then can it be opened."""
        self.flush()
        self._manifest["complete"] = True
        _write_json(self._folder / "manifest.json", self._manifest)


def _read_manifest(folder: Path) -> dict:
    path = folder / "manifest.json"
    if not path.exists():
        raise FileNotFoundError(
            f"teacher_cache must be a folder with a manifest.json, got {folder}. Run its stage first."
        )
    return json.loads(path.read_text())


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
    return int(json.loads((folder / "progress.json").read_text())["batches_done"])


def _write_json(path: Path, value: Mapping) -> None:
    """Replace a file atomically, so that a crash leaves the old or the new one."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(value, indent=1))
    os.replace(temporary, path)
