"""Disk space that is there before it is needed."""

import errno
import os
import shutil
import tempfile
from pathlib import Path


def is_remote(folder: str | os.PathLike[str]) -> bool:
    """Return whether a folder is an address such as gs://bucket/run."""
    return "://" in os.fspath(folder)


def check_writable(folder: str | os.PathLike[str], bytes_needed: int = 0) -> None:
    """Fail before anything long starts if its files could not be written; creates the folder.

    Plan for `keep_last` + 1 checkpoints, and one more for `keep_best`.  A remote address is not checked.

    Raises:
        OSError: the folder cannot be created or written, or its disk has less than `bytes_needed` free.
    """
    if is_remote(folder):
        return
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(
            error.errno, f"the folder must be one that can be written ({error.strerror}). Choose another", str(folder)
        ) from error
    free = shutil.disk_usage(folder).free
    if free < bytes_needed:
        raise OSError(
            errno.ENOSPC,
            f"the disk must have {bytes_needed / 1e9:.3g} GB free for the checkpoints and caches, got "
            f"{free / 1e9:.3g} GB. Free some, keep fewer checkpoints, or choose another folder than",
            str(folder),
        )


def allocate(path: Path, size: int) -> None:
    """Reserve the disk of a file that is written through memory: later, a full disk would kill the process (SIGBUS).

    Args:
        path: existing file; what it holds stays, and it is extended by zeros.
        size: its size in bytes.

    Raises:
        OSError: the disk has no room for it.
    """
    check_writable(path.parent, size - path.stat().st_blocks * 512)
    if hasattr(os, "posix_fallocate"):  # macOS has none
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, size)
