"""Writer of safetensors files, tensor by tensor; the library's own writer needs all tensors in memory at once."""

import contextlib
import dataclasses
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxkd.models.checkpoints.weights import DTYPES

_NAMES = {dtype: name for name, dtype in DTYPES.items()}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tensor:
    """One tensor of a file, computed when it is written."""

    shape: tuple[int, ...]
    dtype: np.dtype
    values: Callable[[], np.ndarray]

    @property
    def nbytes(self) -> int:
        """Size in the file."""
        return int(np.prod(self.shape)) * self.dtype.itemsize


def tensor(values: np.ndarray) -> Tensor:
    """Wrap values that are already in memory."""
    return Tensor(shape=values.shape, dtype=values.dtype, values=lambda: values)


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder to write into that becomes `folder` when the block ends, and is removed if it fails.

    Raises:
        ValueError: `folder` has contents.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"folder must be new or empty, got {folder}, which has contents. Choose another or remove it.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield unfinished
        unfinished.chmod(0o755)
        os.replace(unfinished, folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def write(folder: Path, tensors: Mapping[str, Tensor], *, max_shard_bytes: int) -> None:
    """Write model.safetensors, or shards with an index if one file would be too long.

    Args:
        folder: must exist.
        tensors: tensors by name, in the order of writing.
        max_shard_bytes: longest file, without its header; a longer tensor gets a file of its own.
    """
    shards = _shards(tensors, max_shard_bytes)
    if len(shards) == 1:
        write_file(folder / "model.safetensors", tensors)
        return
    places = {}
    for number, names in enumerate(shards, start=1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        write_file(folder / file, {name: tensors[name] for name in names})
        places |= dict.fromkeys(names, file)
    total = sum(tensor.nbytes for tensor in tensors.values())
    index = json.dumps({"metadata": {"total_size": total}, "weight_map": places}, indent=2, sort_keys=True)
    (folder / "model.safetensors.index.json").write_text(index + "\n", encoding="utf-8")


def write_file(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write one file; a tensor is in memory only while it is written.

    Raises:
        ValueError: a tensor whose values are not of its shape and dtype.
    """
    # transformers rejects a file without its writer's format; "pt" is the layout of torch's Linear.
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.nbytes
        header[name] = {"dtype": _NAMES[tensor.dtype], "shape": tensor.shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the data start at a multiple of 8
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, tensor in tensors.items():
            values = np.asarray(tensor.values(), order="C")
            if (values.shape, values.dtype) != (tensor.shape, tensor.dtype):
                raise ValueError(
                    f"{name} must be {tensor.dtype}{list(tensor.shape)} as announced, "
                    f"got {values.dtype}{list(values.shape)}."
                )
            file.write(values.reshape(-1).view(np.uint8).data)


def _shards(tensors: Mapping[str, Tensor], max_shard_bytes: int) -> Sequence[Sequence[str]]:
    """Return the tensor names of each file; files are filled one after another."""
    shards: list[list[str]] = [[]]
    room = max_shard_bytes
    for name, tensor in tensors.items():
        if shards[-1] and tensor.nbytes > room:
            shards.append([])
            room = max_shard_bytes
        shards[-1].append(name)
        room -= tensor.nbytes
    return shards
