"""Landlock: the kernel opens no file outside the named folders (Linux 5.13 and later, without root)."""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable

from jaxkd.runtime.confinement.linux import syscall

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_ASK_VERSION, _PATH_BENEATH = 1, 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_FILE = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_MAKE_PIPE, _MAKE_LINK = 1 << 10, 1 << 12
_MOVE, _TRUNCATE = 1 << 13, 1 << 14
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE

_RIGHTS = (1 << 13, 1 << 14, 1 << 15, 1 << 15, 1 << 16)
"""One more than the sum of the rights that versions 1, 2, ... of the interface know."""
_TCP, _SIGNALS_AND_SOCKETS = 0b11, 0b11


def restrict(readable: Iterable[str], writable: str, *, execute: bool) -> bool:
    """Restrict this process and its children for good, and return whether the kernel has Landlock.

    Args:
        readable: files and folders to read.
        writable: folder to read, write and create in.
        execute: whether programs may be started, from `readable`.
    """
    try:
        version = syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(_ASK_VERSION))
    except OSError:
        return False
    known = _RIGHTS[min(version, len(_RIGHTS)) - 1] - 1
    handled = struct.pack("QQQ", known, _TCP if version >= 4 else 0, _SIGNALS_AND_SOCKETS if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = syscall(_CREATE, ctypes.c_char_p(handled), ctypes.c_size_t(size), ctypes.c_uint32(0))
    read = _READ_FILE | _READ_DIR | (_EXECUTE if execute else 0)
    write = _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_FILE | _MAKE_PIPE | _MAKE_LINK
    write |= _MOVE | _TRUNCATE
    for path in readable:
        _allow(rules, path, read & known)
    _allow(rules, os.devnull, _READ_FILE | _WRITE_FILE)
    _allow(rules, writable, (read | write) & known)
    syscall(_RESTRICT, ctypes.c_int(rules), ctypes.c_uint32(0))
    os.close(rules)
    return True


def _allow(rules: int, path: str, rights: int) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    if not stat.S_ISDIR(os.fstat(place).st_mode):
        rights &= _OF_FILES
    rule = struct.pack("=Qi", rights, place)
    syscall(_ADD, ctypes.c_int(rules), ctypes.c_int(_PATH_BENEATH), ctypes.c_char_p(rule), ctypes.c_uint32(0))
    os.close(place)
