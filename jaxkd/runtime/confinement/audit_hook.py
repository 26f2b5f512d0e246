"""Audit hook: Python itself denies, with a reason, what the kernel's layers deny without one.

It is the only layer on a system that has none of theirs.  Then it sees what goes through Python's own functions, and
nothing that C code does by itself.
"""

import _socket
import errno
import os
import posix
import sys
from collections.abc import Callable, Iterable
from typing import Any

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_MOST_LINKS = 40

Judge = Callable[[tuple[Any, ...]], object]
"""Function of an event's arguments; its result is true where the event is denied."""


def install(writable: str, readable: Iterable[str], *, start_processes: bool, denied: Callable[[str], object]) -> None:
    """Deny from now on, with `PermissionError`, what a program may not do.

    All that the hook needs lies in its closure, out of reach of a program that replaces functions of modules.

    Args:
        writable: real path of the folder to read, write and create in.
        readable: real paths to read.
        start_processes: whether processes may be started.
        denied: function to call with each event that is denied: its name, and its path.
    """
    getcwd, getpid, readlink = posix.getcwd, posix.getpid, posix.readlink
    fspath, decode, join, split, starts_with = os.fspath, bytes.decode, "".join, str.split, str.startswith
    family, write_flags, most_links = _socket.AF_UNIX, _WRITES, _MOST_LINKS
    not_permitted, linux = errno.EPERM, sys.platform == "linux"
    folder, inside = f"{writable}/", tuple(f"{path}/" for path in (*readable, writable))

    def text(path: Any) -> str:
        """Content of a path, whatever a subclass makes of it."""
        return decode(path, "utf-8", "surrogateescape") if isinstance(path, bytes) else join((path,))

    def real(path: str, at: int = -1) -> str:
        """Path without links, and a slash after it."""
        if not starts_with(path, "/"):
            path = f"{readlink(f'/proc/self/fd/{at}') if linux and at >= 0 else getcwd()}/{path}"
        pending, done, links = split(path, "/")[::-1], [], 0
        while pending:
            name = pending.pop()
            if name == "..":
                done = done[:-1]
            elif name not in ("", "."):
                try:
                    target = readlink(f"/{'/'.join((*done, name))}")
                except OSError:
                    done.append(name)
                    continue
                links += 1
                if links > most_links:
                    return "/"
                done = [] if starts_with(target, "/") else done
                pending.extend(split(target, "/")[::-1])
        return f"/{'/'.join(done)}/"

    def outside(path: Any, at: int = -1) -> bool:
        """Whether a file lies where nothing may be written."""
        if isinstance(path, int):
            return False
        found = real(text(path), at)
        return not starts_with(found, folder) and found != "/dev/null/"

    def entry_outside(path: Any, at: int = -1) -> bool:
        """Whether an entry of a folder, and not what it links to, lies there."""
        parts = split(text(path), "/")
        while len(parts) > 1 and parts[-1] == "":
            parts.pop()
        head = "/".join(parts[:-1])
        return not starts_with(real(f"{head}/" if len(parts) > 1 else ".", at), folder)

    def unreadable(path: Any) -> bool:
        if path is None or isinstance(path, int):
            return False
        return not starts_with(real(text(path)), inside)

    def opened(args: tuple[Any, ...]) -> bool:
        path, mode, flags = args
        writes = flags & write_flags or (isinstance(mode, str) and any(letter in mode for letter in "wax+"))
        return outside(path) if writes else unreadable(path)

    def connected(args: tuple[Any, ...]) -> bool:
        database = args[0] if isinstance(args[0], str | bytes) else fspath(args[0])
        return text(database) not in ("", ":memory:") and outside(database)

    def always(args: tuple[Any, ...]) -> bool:
        return True

    def starts(args: tuple[Any, ...]) -> bool:
        return not start_processes

    judges: dict[str, Judge] = {
        "open": opened,
        "os.listdir": lambda args: unreadable(args[0]),
        "os.scandir": lambda args: unreadable(args[0]),
        "os.remove": lambda args: entry_outside(*args),
        "os.rmdir": lambda args: entry_outside(*args),
        "os.mkdir": lambda args: entry_outside(args[0], args[2]),
        "os.rename": lambda args: entry_outside(args[0], args[2]) or entry_outside(args[1], args[3]),
        "os.link": lambda args: outside(args[0], args[2]) or entry_outside(args[1], args[3]),
        "os.symlink": lambda args: entry_outside(args[1], args[2]),
        "os.truncate": lambda args: outside(args[0]),
        "os.chmod": lambda args: outside(args[0], args[2]),
        "os.chown": lambda args: outside(args[0], args[3]),
        "os.utime": lambda args: outside(args[0], args[3]),
        "os.setxattr": lambda args: outside(args[0]),
        "os.removexattr": lambda args: outside(args[0]),
        "sqlite3.connect": connected,
        "socket.__new__": lambda args: args[1] not in (family, -1),
        "socket.sendmsg": lambda args: args[1] is not None,
        "os.kill": lambda args: args[0] != getpid(),
        "resource.prlimit": lambda args: args[0] not in (0, getpid()),
        "ctypes.dlopen": lambda args: args[0] is not None,  # None: `import ctypes`
    }
    for event in ("os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen"):
        judges[event] = starts
    # With these, a program could find what the harness keeps from it, or leave lines out.
    for event in ("gc.get_objects", "gc.get_referrers", "gc.get_referents", "sys.settrace"):
        judges[event] = always
    for event in ("cdata", "call_function", "dlsym", "dlsym/handle", "string_at", "wstring_at"):
        judges[f"ctypes.{event}"] = always
    for event in ("bind", "connect", "getaddrinfo", "gethostbyname", "gethostbyaddr", "getnameinfo", "sendto"):
        judges[f"socket.{event}"] = always
    for event in ("os.killpg", "pty.spawn", "syslog.openlog", "syslog.syslog"):
        judges[event] = always
    judge_of = judges.get

    def hook(event: str, args: tuple[Any, ...]) -> None:
        judge = judge_of(event)
        if judge is not None and judge(args):
            what = f"{event} {text(args[0])!a}" if args and isinstance(args[0], str | bytes) else event
            denied(what)
            raise PermissionError(not_permitted, f"not permitted in the sandbox: {what}")

    sys.addaudithook(hook)
