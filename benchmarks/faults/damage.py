"""Damage to the files of a run, as disks and people do it."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path


def flip(path: Path) -> None:
    """Invert one byte in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def zero(path: Path) -> None:
    """Overwrite the second half with zeros."""
    content = path.read_bytes()
    half = len(content) // 2
    path.write_bytes(content[:half] + bytes(len(content) - half))


def truncate(path: Path) -> None:
    """Cut off the second half."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def delete(path: Path) -> None:
    """Remove the file."""
    path.unlink()


KINDS: Mapping[str, Callable[[Path], None]] = {"flip": flip, "zero": zero, "truncate": truncate, "delete": delete}

STAGE = "kd/0"
"""Folder of the stage that is damaged where it was interrupted."""


def largest(folder: Path) -> Path:
    """Return the largest file below a folder: of a checkpoint, one of its arrays."""
    return max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


def newest_checkpoint(workdir: Path) -> Path:
    """Return the folder of the last checkpoint of the interrupted stage."""
    return max((workdir / STAGE / "checkpoints").glob("[0-9]*"), key=lambda path: int(path.name))


TARGETS: Mapping[str, Callable[[Path], Path]] = {
    "array of the newest checkpoint": lambda workdir: largest(newest_checkpoint(workdir)),
    "hidden states of the cache": lambda workdir: next((workdir / "teacher_cache").rglob("hidden.npy")),
    "config of the interrupted stage": lambda workdir: workdir / STAGE / "config.json",
    "log of the interrupted stage": lambda workdir: workdir / STAGE / "metrics.jsonl",
    "evaluation of a finished stage": lambda workdir: workdir / "sft/0/evaluation.json",
    "usage statistics": lambda workdir: next(workdir.rglob("usage.json")),
}
"""Files to damage, by what they are."""


def all_checkpoints(workdir: Path) -> None:
    """Damage the arrays of every checkpoint of the interrupted stage."""
    for folder in (workdir / STAGE / "checkpoints").glob("[0-9]*"):
        flip(largest(folder))


def without_checkpoints(workdir: Path) -> None:
    """Remove the checkpoints of the interrupted stage."""
    shutil.rmtree(workdir / STAGE / "checkpoints")
