"""Descendants of a process, counted and ended; Linux shows them in `/proc`."""

import contextlib
import os
import signal
import time
from typing import NamedTuple

_PAGE = os.sysconf("SC_PAGESIZE")
_RETRY_S = 0.002


class Member(NamedTuple):
    """One process of the tree."""

    pid: int
    threads: int
    memory: int
    """Resident memory in bytes."""


def members() -> list[Member]:
    """Return the running descendants of this process; none on a system without `/proc`."""
    children: dict[int, list[Member]] = {}
    for name in _processes():
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:  # it has ended
            continue
        member = Member(int(name), int(fields[17]), int(fields[21]) * _PAGE)
        # A zombie runs no more, but may be the parent of what does.
        children.setdefault(int(fields[1]), []).append(member._replace(threads=0) if fields[0] in b"ZX" else member)
    found, pending = [], [os.getpid()]
    while pending:
        below = children.get(pending.pop(), [])
        found += below
        pending += [member.pid for member in below]
    return [member for member in found if member.threads > 0]


def _processes() -> list[str]:
    try:
        return [name for name in os.listdir("/proc") if name.isdigit()]
    except FileNotFoundError:
        return []


def end(leader: int) -> None:
    """Kill all descendants of this process, and return when none is left.

    Args:
        leader: child whose process group most of them belong to; without `/proc` no others are found.
    """
    _kill(-leader)
    _kill(leader)
    while True:
        found = members()
        for member in found:  # first: a stopped process starts no other
            _kill(member.pid, signal.SIGSTOP)
        for member in found:
            _kill(member.pid)
        if _all_reaped() and not found:
            return
        time.sleep(_RETRY_S)


def _kill(pid: int, number: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _all_reaped() -> bool:
    """Wait for the children that have ended, and return whether none is left."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return False
        except ChildProcessError:
            return True
