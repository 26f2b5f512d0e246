"""Namespaces: the program sees no other process, no network and no shared memory of others.

They need no root, but containers and some distributions forbid them.
"""

import contextlib
import os

from jaxkd.runtime.confinement.linux import libc

_USER, _PID, _NETWORK, _IPC = 0x10000000, 0x20000000, 0x40000000, 0x08000000


def enter() -> bool:
    """Give the next child of this process new namespaces, and return whether the kernel permits it.

    The child is process 1 in them: with it ends everything that it started.
    """
    user, group = os.getuid(), os.getgid()
    if libc.unshare(_USER | _PID | _NETWORK | _IPC) != 0:
        return False
    for file, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        # Unmapped, the program runs as the same user and is shown another number.
        with contextlib.suppress(OSError), open(f"/proc/self/{file}", "w") as map_:
            map_.write(text)
    return True
