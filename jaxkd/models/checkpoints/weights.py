"""The safetensors files of one checkpoint folder, read tensor by tensor."""

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
"""The dtypes of weights, by their names in these files."""


def files(folder: Path) -> list[Path]:
    """The weight files of a checkpoint: model.safetensors, or the shards that its index names.

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
            "Write a pickled checkpoint (pytorch_model.bin) anew with save_pretrained of transformers and torch."
        )
    return [single]


@dataclasses.dataclass(frozen=True)
class _Entry:
    """Where one tensor lies."""

    path: Path
    offset: int
    shape: tuple[int, ...]
    dtype: str


class Weights:
    """All tensors of a checkpoint by name.

    Nothing is read but the headers, until a tensor is asked for.

    Raises:
        ValueError: as `files`, or a file that is cut off.
    """

    def __init__(self, folder: Path):
        self._entries = {
            name: _Entry(path, start + entry["data_offsets"][0], tuple(entry["shape"]), entry["dtype"])
            for path in files(folder)
            for start, header in [_header(path)]
            for name, entry in header.items()
        }

    def names(self) -> set[str]:
        """Names of all tensors."""
        return set(self._entries)

    def mapped(self, name: str) -> np.ndarray:
        """One tensor as it lies in its file: only what is indexed is read from the disk.

        The pages that were read stay in this process's memory until the array and its views are gone.

        Raises:
            ValueError: a tensor that is not of floating-point numbers.
        """
        entry = self._entries[name]
        if entry.dtype not in DTYPES:
            raise ValueError(
                f"{name} must be of {', '.join(DTYPES)}, got {entry.dtype} in {entry.path}. "
                "The checkpoint is quantised: use the one that it was made from."
            )
        # One map for each tensor, not one for the file: it would keep all that was ever read from it.
        return np.asarray(np.memmap(entry.path, DTYPES[entry.dtype], mode="r", offset=entry.offset, shape=entry.shape))


def _header(path: Path) -> tuple[int, dict[str, Any]]:
    """Where the data of a file start, and its tensors; the file must be as long as they need."""
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
