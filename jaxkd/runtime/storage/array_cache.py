"""Outputs of a teacher on disk, as named arrays of one shape for all examples.

A cache is a folder: `manifest.json` (its origin), for each array `NAME.npy` (its values by example) and
`NAME.checksums.npy` (CRC-32 of each example's values), and `progress.json` (batches finished).  It can be read only
when complete, and writing resumes where it was interrupted.  `jaxkd.runtime.hidden_cache` stores rows of a varying
number in the same way.
"""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

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
from jaxkd.runtime.storage.checked_rows import DTYPES, CheckedRows, create
from jaxkd.runtime.storage.files import write_json

__all__ = ["MANIFEST", "PROGRESS", "ArrayCache", "ArrayCacheWriter", "ArrayDtype", "StoredArray", "disk_bytes"]

ArrayDtype = Literal["float32", "float16", "bfloat16"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoredArray:
    """Array of each example."""

    shape: tuple[int, ...]
    """Shape for one example; () for a number."""
    dtype: ArrayDtype = "float32"
    """Dtype in storage.  float16 has 11 bits of mantissa and values up to 65504, bfloat16 8 bits."""

    def __post_init__(self) -> None:
        if self.dtype not in get_args(ArrayDtype):
            raise ValueError(f"dtype must be one of {', '.join(get_args(ArrayDtype))}, got {self.dtype!r}.")
        if any(length < 1 for length in self.shape):
            raise ValueError(f"shape must have positive lengths, got {self.shape}.")

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"


class ArrayCache:
    """Arrays of examples, by index: `cache(index) -> {name: array}`, float32."""

    def __init__(self, folder: Path, identity: Mapping[str, str]):
        """Open a finished cache.

        Args:
            folder: folder written by `ArrayCacheWriter`.
            identity: hashes of what the arrays were computed from, such as the teacher and the data.

        Raises:
            FileNotFoundError: a folder without a cache.
            ValueError: a cache of something else (the fields are named), incomplete, damaged, or of hidden states.
        """
        manifest = complete_manifest(folder, identity)
        if "arrays" not in manifest:
            raise ValueError(
                f"the cache in {folder} must hold arrays by example, got hidden states. Open a HiddenCache."
            )
        self._rows = _rows(folder, manifest, mode="r")
        self.examples = int(manifest["examples"])

    def __call__(self, index: int) -> dict[str, np.ndarray]:
        """Return the arrays of an example, compared with their checksums when they are first read.

        Raises:
            ValueError: an index beyond the examples, or values that are not as they were written.
        """
        _require_index(index, self.examples)
        return {name: rows.read(index)[0] for name, rows in self._rows.items()}


class ArrayCacheWriter(CacheWriter):
    """Writer of a cache, batch by batch; a batch is recorded whole or redone."""

    def __init__(self, folder: Path, identity: Mapping[str, str], *, examples: int, arrays: Mapping[str, StoredArray]):
        """Create a cache, or compare what an interrupted one holds with its checksums and resume it.

        Args:
            folder: folder of the cache, created if missing.
            identity: hashes of what the arrays are computed from.
            examples: number of examples.
            arrays: arrays of each, by names that are Python identifiers.

        Raises:
            ValueError: no examples or arrays, a name that is none, or a folder with a cache of something else, or with
                a damaged one.
            OSError: the disk has no room for the cache.
        """
        if examples < 1 or not arrays:
            raise ValueError(f"examples and arrays must be at least one each, got {examples} and {len(arrays)}.")
        if wrong := [name for name in arrays if not name.isidentifier()]:
            raise ValueError(f"arrays must have names that are Python identifiers, got {wrong[0]!r}.")
        self._arrays = dict(arrays)
        described = {"examples": str(examples), "arrays": _described(arrays)}
        if begun(folder):
            manifest = read_manifest(folder)
            found = {"examples": str(manifest.get("examples")), "arrays": _described(_arrays(manifest))}
            require_identity(folder, {**manifest["identity"], **found}, {**identity, **described})
        else:
            manifest = {
                "identity": dict(identity),
                "examples": examples,
                "arrays": {name: dataclasses.asdict(array) for name, array in arrays.items()},
                "complete": False,
            }
            folder.mkdir(parents=True, exist_ok=True)
            create(folder, {f"{name}.npy": (DTYPES[one.dtype], (examples, *one.shape)) for name, one in arrays.items()})
            create(folder, {f"{name}.checksums.npy": (np.dtype(np.uint32), (examples,)) for name in arrays})
            # Last, because its presence implies that the other files exist.
            write_json(folder / MANIFEST, manifest)
        self._examples = examples
        self._named_rows = _rows(folder, manifest, mode="r+")
        super().__init__(folder, manifest, list(self._named_rows.values()))

    def write(self, indices: np.ndarray, values: Mapping[str, np.ndarray]) -> None:
        """Store one batch.

        Args:
            indices: [b] index of each example; -1 where there is none, as in a last batch that was filled up.
            values: each array with the examples along its first axis.

        Raises:
            ValueError: other arrays than those of the cache, other shapes, or indices beyond the examples.
        """
        wanted = {name: (len(indices), *array.shape) for name, array in self._arrays.items()}
        found = {name: np.shape(value) for name, value in values.items()}
        if found != wanted:
            raise ValueError(f"values must have the shapes {wanted}, got {found}.")
        for index in indices[indices != -1]:
            _require_index(int(index), self._examples)
        for name, rows in self._named_rows.items():
            for index, value in zip(indices, np.asarray(values[name]), strict=True):
                if index != -1:
                    rows.write(int(index), value[None])
        self.batches_done += 1


def disk_bytes(examples: int, arrays: Mapping[str, StoredArray]) -> int:
    """Return the bytes of a cache, but for its small files; arguments as of `ArrayCacheWriter`."""
    return examples * sum(math.prod(array.shape) * DTYPES[array.dtype].itemsize for array in arrays.values())


def _require_index(index: int, examples: int) -> None:
    if not 0 <= index < examples:
        raise ValueError(f"the index of an example must be in [0, {examples}), got {index}.")


def _arrays(manifest: Mapping[str, Any]) -> dict[str, StoredArray]:
    return {
        name: StoredArray(shape=tuple(fields["shape"]), dtype=fields["dtype"])
        for name, fields in manifest.get("arrays", {}).items()
    }


def _described(arrays: Mapping[str, StoredArray]) -> str:
    return ", ".join(f"{name} {arrays[name]}" for name in sorted(arrays))


def _rows(folder: Path, manifest: Mapping[str, Any], *, mode: Literal["r", "r+"]) -> dict[str, CheckedRows]:
    return {
        name: CheckedRows(
            folder,
            f"{name}.npy",
            offsets=np.arange(int(manifest["examples"]) + 1),
            shape=array.shape,
            dtype=DTYPES[array.dtype],
            checksums=f"{name}.checksums.npy",
            mode=mode,
        )
        for name, array in _arrays(manifest).items()
    }
