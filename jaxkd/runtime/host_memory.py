"""Memory of the host: what a process has freed and still holds, and the pages in which it lies."""

import ctypes
import gc
import os
import platform
import sys
from pathlib import Path

GROWTH = 256 * 2**20
"""Bytes by which a process must have grown for the search for what it can return, which takes up to a second."""

_TUNABLE = "glibc.malloc.hugetlb"
"""glibc's option, from 2.35; with 1 its allocator asks for huge pages.  It is read when a process starts."""

_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


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


def huge_pages_advice() -> str | None:
    """Return how to start the program with huge pages, if this process has none and could; else None.

    A step maps its temporary arrays anew; in pages of 4 KiB the kernel takes a good part of the step for it.
    """
    library, version = platform.libc_ver()
    if library != "glibc" or tuple(map(int, version.split("."))) < (2, 35):
        return None
    given = os.environ.get("GLIBC_TUNABLES", "")
    if _TUNABLE in given or not _HUGE_PAGES.exists() or "[madvise]" not in _HUGE_PAGES.read_text():
        return None
    value = f"{given}:{_TUNABLE}=1" if given else f"{_TUNABLE}=1"
    return f"GLIBC_TUNABLES={value} before the command gives large arrays huge pages, and makes steps on a CPU faster"
