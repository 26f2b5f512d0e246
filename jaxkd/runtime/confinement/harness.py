"""Process that runs one program: it confines itself, runs it, and reports its end."""

import builtins
import contextlib
import errno
import json
import linecache
import os
import resource
import signal
import socket
import sys
import traceback
import types
from collections.abc import Callable
from typing import Any, NoReturn

from jaxkd.runtime.confinement import audit_hook, landlock, linux, readable, seccomp
from jaxkd.runtime.confinement.channels import LISTENER, MISSING, REPORT, TOKEN, TOKEN_BYTES

_NAME = "<program>"
_OPEN_FILES = 64
_SHOWN_FRAMES, _SHOWN_CHARACTERS = 12, 300


def main() -> NoReturn:
    """Read a job from stdin, confine this process, run the program."""
    job = json.loads(sys.stdin.buffer.read())
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.setsid()
    os.chdir(job["folder"])
    program, report, number = job["program"], os.write, os.getpid
    linecache.cache[_NAME] = (len(program), None, program.splitlines(keepends=True), _NAME)
    module = types.ModuleType("__main__")
    show, leave = traceback.print_exception, os._exit
    report(REPORT, f"layers {number()} {' '.join(_confine(job))}\n".encode())
    sys.modules["__main__"] = module
    try:
        code = compile(program, _NAME, "exec", dont_inherit=True)
        # The token is on no variable while the program runs, only on the interpreter's stack: no frame shows it.
        # The number tells this process from one that the program forked, which comes to the same line.
        report(REPORT, b"".join((os.read(TOKEN, TOKEN_BYTES), exec(code, module.__dict__) or b" %d\n" % number())))
        leave(0)
    except BaseException as error:  # noqa: BLE001 (also SystemExit: it came before the end)
        with contextlib.suppress(BaseException):
            report(REPORT, f"{_kind(error)} {type(error).__name__}\n".encode())
        if not isinstance(error, SystemExit):
            with contextlib.suppress(BaseException):
                rest = error.__traceback__.tb_next if error.__traceback__ else None
                show(type(error), error, rest, limit=-_SHOWN_FRAMES)
    finally:
        leave(1)


def _kind(error: BaseException) -> str:
    """Return the first word of the report on an error."""
    if isinstance(error, MemoryError):
        return "memory"
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return "output"
    if isinstance(error, OSError) and error.errno in (errno.EPERM, errno.EACCES):
        return "refused"
    return "exit" if isinstance(error, SystemExit) else "error"


def _confine(job: dict[str, Any]) -> list[str]:
    """Apply the limits and the layers of a job, and return the names of the layers that hold."""
    layers, folder, several = job["layers"], job["folder"], job["processes"] > 1
    paths = readable.readable()
    sys.path[:] = [path for path in sys.path if f"{os.path.realpath(path)}/".startswith(tuple(f"{p}/" for p in paths))]
    if not several:
        os.close(LISTENER)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_CPU, job["cpu_seconds"], job["cpu_seconds"] + 1)  # a signal, then the end
    _limit(resource.RLIMIT_FSIZE, job["file_bytes"])
    _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    held = []
    if sys.platform == "linux":
        linux.end_with_parent(signal.SIGKILL)
        linux.drop_privileges()
        if "landlock" in layers and landlock.restrict(paths, folder, execute=several):
            held.append("landlock")
        if "seccomp" in layers and (_ask() if several else seccomp.restrict()):
            held.append("seccomp")
    if several and "seccomp" not in held:
        os.write(REPORT, MISSING)
        os._exit(1)
    if "audit" in layers:
        _out_of_reach(audit_hook.install)(folder, paths, start_processes=several, denied=_reporting())
        held.append("audit")
    for name in [name for name in sys.modules if name.partition(".")[0] == "jaxkd"]:
        del sys.modules[name]
    _limit(resource.RLIMIT_AS, job["memory_mib"] << 20)
    return held


def _ask() -> bool:
    """Let the supervisor decide about every new process, and return whether the kernel can ask it."""
    listener = seccomp.restrict_and_ask()
    with socket.socket(fileno=LISTENER) as supervisor:
        if listener is not None:
            socket.send_fds(supervisor, [b" "], [listener])
            os.close(listener)
    return listener is not None


def _limit(kind: int, soft: int, hard: int | None = None) -> None:
    """Set a limit, at most the one that this process was given."""
    _, most = resource.getrlimit(kind)
    wanted = [soft, soft if hard is None else hard]
    if most != resource.RLIM_INFINITY:
        wanted = [min(value, most) for value in wanted]
    with contextlib.suppress(ValueError, OSError):  # macOS lets some stand
        resource.setrlimit(kind, (wanted[0], wanted[1]))


def _out_of_reach(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function with builtins of its own, which a program cannot replace."""
    names = {**function.__globals__, "__builtins__": dict(vars(builtins))}
    return types.FunctionType(function.__code__, names, None, None, None)


def _reporting() -> Callable[[str], None]:
    """Return a function that reports the first of the events that it is called with."""
    write, descriptor, most, reported = os.write, REPORT, _SHOWN_CHARACTERS, []

    def report(event: str) -> None:
        if not reported:
            reported.append(event)
            write(descriptor, f"refused {event[:most]}\n".encode())

    return report
