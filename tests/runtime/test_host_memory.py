"""Freed memory goes back to the operating system."""

import ctypes
from pathlib import Path

from jaxkd.runtime import host_memory


def resident_kb():
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1])


def test_what_glibc_keeps_is_released():
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    # Below the threshold of mmap; the last one holds the heap's end, so that freeing the others returns nothing.
    blocks = [libc.malloc(64_000) for _ in range(2_000)]
    for block in blocks:
        ctypes.memset(block, 1, 64_000)
    *others, last = blocks
    for block in others:
        libc.free(block)
    held = resident_kb()
    host_memory.release()
    assert resident_kb() < held - 100_000
    libc.free(last)
