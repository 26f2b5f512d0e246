"""Files that a program may read: Python's installation and what a system has for everyone."""

import os
import sys

_PUBLIC = (
    "/usr",
    "/lib",
    "/lib64",
    "/System",
    "/Library/Frameworks",
    "/etc/group",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/dev/null",
    "/dev/random",
    "/dev/urandom",
    "/dev/zero",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/sys/devices/system/cpu",
)


def readable() -> tuple[str, ...]:
    """Return the real paths of the files and folders, without the missing ones."""
    python = (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, os.path.dirname(os.__file__))
    paths = {os.path.realpath(path) for path in (*python, *_PUBLIC) if os.path.exists(path)}
    return tuple(sorted(paths - {"/"}))
