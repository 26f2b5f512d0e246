"""The safetensors files of one checkpoint folder, read tensor by tensor."""

import json
import os
from pathlib import Path
from types import TracebackType

import numpy as np


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


def _check_complete(path: Path) -> None:
    """Compare the file's size with the one that its own header implies."""
    found = os.path.getsize(path)
    expected = 8
    with path.open("rb") as file:
        expected += int.from_bytes(file.read(8), "little")
        if found >= expected > 8:
            header = json.loads(file.read(expected - 8))
            expected += max(
                (entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0
            )
    if found != expected:
        raise ValueError(
            f"{path} must have {expected} bytes by its own header, it has {found}: "
            "it was cut off, or is a Git LFS pointer in place of the weights. Fetch it again."
        )


class Weights:
    """All tensors of a checkpoint by name, each read from disk when asked for.

    Raises:
        ValueError: as `files`, or a file that is cut off.
    """

    def __init__(self, folder: Path):
        from safetensors import safe_open

        self.folder = Path(folder)
        self._handles = []
        self._by_name = {}
        for path in files(self.folder):
            _check_complete(path)
            handle = safe_open(path, framework="numpy")
            self._handles.append(handle)
            self._by_name.update(dict.fromkeys(handle.keys(), handle))

    def __enter__(self) -> "Weights":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._by_name.clear()
        self._handles.clear()

    def names(self) -> set[str]:
        """Names of all tensors."""
        return set(self._by_name)

    def read(self, name: str) -> np.ndarray:
        """One tensor; bfloat16 as ml_dtypes' type."""
        return self._by_name[name].get_tensor(name)
