"""Reader of the safetensors files of one checkpoint folder, tensor by tensor."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

DTYPES = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
}
"""Dtypes of weights, by their names in these files."""


def files(folder: Path) -> list[Path]:
    """Return the weight files of a checkpoint: model.safetensors, or the shards that its index names.

    Raises:
        ValueError: none there, or a shard missing.
    """
    folder = Path(folder)
    index, single = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if index.is_file():
        shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        missing = [shard for shard in shards if not (folder / shard).is_file()]
        if missing:
            raise ValueError(
                f"{folder} must hold the {len(shards)} shards that {index.name} names, "
                f"it lacks {', '.join(missing)}. Download the checkpoint again."
            )
        return [folder / shard for shard in shards]
    if not single.is_file():
        found = ", ".join(sorted(entry.name for entry in folder.iterdir())) if folder.is_dir() else "no such folder"
        raise ValueError(
            f"{folder} must hold model.safetensors or model.safetensors.index.json, found: {found or 'nothing'}. "
            "Convert a pickled checkpoint (pytorch_model.bin) with save_pretrained of transformers and torch."
        )
    return [single]


@dataclasses.dataclass(frozen=True)
class _Entry:
    """Location of one tensor."""

    path: Path
    offset: int
    shape: tuple[int, ...]
    dtype: str


class Weights:
    """All tensors of a checkpoint by name.

    Only the headers are read until a tensor is requested.

    Raises:
        ValueError: as `files`, or a truncated file.
    """

    def __init__(self, folder: Path):
        self._entries = {
            name: _Entry(path, start + entry["data_offsets"][0], tuple(entry["shape"]), entry["dtype"])
            for path in files(folder)
            for start, header in [_header(path)]
            for name, entry in header.items()
        }

    def names(self) -> set[str]:
        """Return the names of all tensors."""
        return set(self._entries)

    def mapped(self, name: str) -> np.ndarray:
        """Memory-map one tensor: only the indexed part is read from disk.

        The pages read stay in this process's memory until the array and its views are deleted.

        Raises:
            ValueError: a tensor that is not of floating-point numbers.
        """
        entry = self._entries[name]
        if entry.dtype not in DTYPES:
            raise ValueError(
                f"{name} must be of {', '.join(DTYPES)}, got {entry.dtype} in {entry.path}. "
                "The checkpoint is quantised: use the one that it was made from."
            )
        # One map per tensor, not per file, which would keep everything ever read from it.
        return np.asarray(np.memmap(entry.path, DTYPES[entry.dtype], mode="r", offset=entry.offset, shape=entry.shape))


def _header(path: Path) -> tuple[int, dict[str, Any]]:
    """Return the offset of a file's data and its tensors; check that the file is long enough."""
    found = os.path.getsize(path)
    header: dict[str, Any] = {}
    with path.open("rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
        if found >= start > 8:
            header = json.loads(file.read(start - 8))
            header.pop("__metadata__", None)
    expected = start + max((entry["data_offsets"][1] for entry in header.values()), default=0)
    if found != expected:
        raise ValueError(
            f"{path} must have {expected} bytes by its own header, it has {found}: "
            "it was cut off, or is a Git LFS pointer in place of the weights. Fetch it again."
        )
    return start, header
