"""Huge pages for large arrays on a CPU, where Linux gives them to programs that ask."""

import os
import platform
from pathlib import Path

VARIABLE = "GLIBC_TUNABLES"

TUNABLE = "glibc.malloc.hugetlb"
"""glibc's option, from 2.35; with 1 its allocator asks for huge pages.  It is read when a process starts."""

_CHOICE = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def advice() -> str | None:
    """Return how to start the program with huge pages, if this process has none and could; else None.

    A step maps its temporary arrays anew; in pages of 4 KiB the kernel takes a good part of the step for it.
    """
    library, version = platform.libc_ver()
    if library != "glibc" or tuple(map(int, version.split("."))) < (2, 35):
        return None
    given = os.environ.get(VARIABLE, "")
    if TUNABLE in given or not _CHOICE.exists() or "[madvise]" not in _CHOICE.read_text():
        return None
    value = f"{given}:{TUNABLE}=1" if given else f"{TUNABLE}=1"
    return f"{VARIABLE}={value} before the command gives large arrays huge pages, and makes steps on a CPU faster"
