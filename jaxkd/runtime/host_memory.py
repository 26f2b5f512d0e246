"""Memory of the host that a process has freed and still holds."""

import ctypes
import gc
import sys


def release() -> None:
    """Return freed memory to the operating system; after a training, glibc would keep a gigabyte of it."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it
        if trim is not None:
            trim(0)
