"""Memory of the host that a process has freed and still holds."""

import ctypes
import gc
import os
import sys
from pathlib import Path

GROWTH = 256 * 2**20
"""Bytes by which a process must have grown for the search for what it can return, which takes up to a second."""


def resident() -> int | None:
    """Return the bytes of memory that the process holds; None where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def release_growth(before: int | None) -> int | None:
    """Return freed memory to the operating system if the process has grown by `GROWTH` since it held `before` bytes.

    Returns:
        What the process held when freed memory was last returned: what to compare with the next time.
    """
    now = resident()
    if now is not None and before is not None and now < before + GROWTH:
        return before
    release()
    return resident()


def release() -> None:
    """Return freed memory to the operating system; after a training, glibc would keep a gigabyte of it."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it
        if trim is not None:
            trim(0)
