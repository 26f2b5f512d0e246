"""Calls of the Linux kernel that the standard library lacks."""

import ctypes
import os
import platform
import sys

ARCHITECTURE = platform.machine() if sys.platform == "linux" else ""
"""`x86_64`, `aarch64` or another; empty on other systems."""

_PDEATHSIG, _DUMPABLE, _CHILD_SUBREAPER, _NO_NEW_PRIVS = 1, 4, 36, 38
_CAPABILITY_VERSION = 0x20080522

libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int) -> int:
    """Return the result of a call.

    Raises:
        OSError: the call failed; the error of the kernel.
    """
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def syscall(number: int, *arguments: object) -> int:
    """Make a system call by its number; it must not fail."""
    return checked(libc.syscall(ctypes.c_long(number), *arguments))


def prctl(option: int, *values: int) -> None:
    """Set an attribute of this process."""
    checked(libc.prctl(option, *(ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4])))


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends: no daemon escapes."""
    prctl(_CHILD_SUBREAPER, 1)


def hide_memory() -> None:
    """Close this process's memory and environment, in `/proc` too, to other processes of the user."""
    prctl(_DUMPABLE, 0)


def end_with_parent(signal: int) -> None:
    """Send `signal` to this process when its parent ends."""
    prctl(_PDEATHSIG, signal)


def drop_privileges() -> None:
    """Give up all capabilities, of which root has some, and the ways to gain any."""
    prctl(_NO_NEW_PRIVS, 1)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    checked(libc.capset(header, (ctypes.c_uint32 * 6)()))
