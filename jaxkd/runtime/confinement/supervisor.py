"""Process that starts the harness, watches it, and ends everything that it started."""

import contextlib
import functools
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

from jaxkd.runtime.confinement import linux, namespaces, process_tree, seccomp
from jaxkd.runtime.confinement.channels import LISTENER, MISSING, REPORT, TOKEN, TOKEN_BYTES, bootstrap
from jaxkd.runtime.confinement.removal import remove

TAIL_BYTES = 4096
"""Most bytes of output that are kept."""
MOST_THREADS, MOST_FILES = 64, 256

_OPTIONS = ("-s", "-P", "-B", "-u", "-X", "utf8")
"""As -I, which would ignore the hash seed: no user's packages, and none of the working folder."""
_REPORT_BYTES = 4096
_SIGNALLED = 128
"""Added to a signal's number, as by a shell: exit status of a process 1 whose child it ended."""
_TICK_S = 0.01
_LOOK_S, _LOOK_SHARE = (0.02, 0.2), 0.1
"""Least and greatest time between two looks at processes and files, and share of the time that the looks may take."""

End = tuple[str, str]
"""Verdict and reason."""


class _Stopped(Exception):
    """The process that asked for the run has ended, or asks to stop."""


def main() -> None:
    """Read a job from stdin, a file, run it, remove its folder, and write the outcome to stdout, both as JSON."""
    job = json.loads(sys.stdin.buffer.read())
    run = _Run(job)
    signal.signal(signal.SIGTERM, run.stop)
    with contextlib.suppress(_Stopped):
        try:
            outcome = run.outcome()
        finally:
            remove(job["folder"])
        sys.stdout.write(json.dumps(outcome))
        sys.stdout.flush()


class _Run:
    """One run of one program."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._job = job
        self._token = os.urandom(TOKEN_BYTES // 2).hex().encode()
        self._size, self._tail, self._report = 0, b"", b""
        self._namespaces = self._stopped = False
        self._listener: int | None = None
        self._readers: dict[int, bool] = {}
        """Descriptor -> whether it is the report."""
        self._poll = select.poll()
        self._poll.register(sys.stdout.fileno(), 0)  # reports that the other side is closed

    def stop(self, *_: object) -> None:
        """End the program at the next look: a signal may come at any moment of a start."""
        self._stopped = True

    def outcome(self) -> dict[str, Any]:
        """Run the program and return verdict, reason, seconds, output and layers; or what went wrong before."""
        if linux.ARCHITECTURE:
            linux.adopt_orphans()
            self._namespaces = "namespaces" in self._job["layers"] and namespaces.enter()
            linux.hide_memory()
        begun = time.monotonic()
        child = self._start()
        try:
            verdict, reason = self._watch(child, begun + self._job["seconds"])
        finally:
            process_tree.end(child)
        seconds = time.monotonic() - begun
        output = self._tail.decode(errors="replace")
        first, *lines = self._lines() or [""]
        if f"{first}\n".encode() == MISSING:
            return {"missing": "seccomp"}
        if verdict == "failed" and not first.startswith("layers"):
            return {"error": f"{reason}\n{output}"}
        refused = next((line.partition(" ")[2] for line in lines if line.startswith("refused ")), None)
        if refused is not None and verdict in ("passed", "failed"):
            verdict, reason = "refused", refused
        held = [*["namespaces"] * self._namespaces, *first.split()[2:]]
        return {"verdict": verdict, "reason": reason, "seconds": seconds, "output": output, "layers": held}

    def _start(self) -> int:
        """Start the harness on the same job, and return the child that ends as it does."""
        # The first pipe takes 3 and 4 if they are free, so that no other is overwritten below.
        output, report, token = os.pipe(), os.pipe(), os.pipe()
        os.write(token[1], self._token)
        os.lseek(0, 0, os.SEEK_SET)
        self._socket, other = socket.socketpair()
        targets = {1: output[1], 2: output[1], REPORT: report[1], TOKEN: token[0], LISTENER: other.fileno()}
        spawn = functools.partial(
            os.posix_spawn,
            sys.executable,
            [sys.executable, *_OPTIONS, "-c", bootstrap("harness")],
            self._job["environment"],
            file_actions=[(os.POSIX_SPAWN_DUP2, source, target) for target, source in targets.items()],
        )
        child = os.fork() if self._namespaces else spawn()
        if child == 0:
            _be_process_1(spawn)
        for descriptor in (output[1], report[1], *token, other.detach()):
            os.close(descriptor)
        if self._job["processes"] > 1:
            self._poll.register(self._socket, select.POLLIN)
        self._readers = {output[0]: False, report[0]: True}
        for descriptor in self._readers:
            os.set_blocking(descriptor, False)
            self._poll.register(descriptor, select.POLLIN)
        return child

    def _watch(self, child: int, deadline: float) -> End:
        """Wait for the end of the program, or for a limit."""
        next_look = 0.0
        while not self._stopped:
            for descriptor, event in self._poll.poll(1000 * _TICK_S):
                if descriptor == sys.stdout.fileno():
                    raise _Stopped
                if descriptor == self._socket.fileno():
                    self._receive_listener()
                elif descriptor != self._listener:
                    self._read(descriptor)
                elif not event & select.POLLIN:
                    self._poll.unregister(descriptor)  # nobody is left to ask
                elif (question := seccomp.question(descriptor)) is not None:
                    if len(self._members(child)) >= self._job["processes"]:
                        return self._too_many()
                    seccomp.permit(descriptor, question)
            ended = None if self._finished() else _wait(child)
            if self._finished() or ended is not None:
                for descriptor in list(self._readers):
                    self._read(descriptor)
            if self._size > self._job["output_bytes"]:
                return "too_much_output", f"more than {self._job['output_bytes']} bytes of output"
            if self._finished():  # also a process that reported and ended since the last look
                return self._end_of_report()
            if ended is not None:
                return self._end(*ended)
            if time.monotonic() >= deadline:
                return "out_of_time", f"more than {self._job['seconds']:g} s"
            if time.monotonic() >= next_look:
                begun = time.process_time()
                over = self._over_a_limit(child)
                if over is not None:
                    return over
                pause = (time.process_time() - begun) / _LOOK_SHARE
                next_look = time.monotonic() + min(max(pause, _LOOK_S[0]), _LOOK_S[1])
        raise _Stopped

    def _receive_listener(self) -> None:
        """Take the right to decide about new processes, which a harness may send once."""
        _, found, _, _ = socket.recv_fds(self._socket, 1, 1)
        self._poll.unregister(self._socket)
        if found:
            self._listener = found[0]
            self._poll.register(self._listener, select.POLLIN)

    def _members(self, child: int) -> list[process_tree.Member]:
        return [member for member in process_tree.members() if not self._namespaces or member.pid != child]

    def _too_many(self) -> End:
        return "refused", f"more than {self._job['processes']} processes"

    def _read(self, descriptor: int) -> None:
        """Read what is there now; of the output no more than its limit allows, and a little."""
        while self._size <= self._job["output_bytes"]:
            try:
                piece = os.read(descriptor, 1 << 16)
            except BlockingIOError:
                return
            if not piece:
                self._poll.unregister(descriptor)
                del self._readers[descriptor]
                return
            if self._readers[descriptor]:
                self._report = (self._report + piece)[:_REPORT_BYTES]
            else:
                self._size += len(piece)
                self._tail = (self._tail + piece)[-TAIL_BYTES:]

    def _lines(self) -> list[str]:
        return self._report.decode(errors="replace").split("\n")[:-1]

    def _finished(self) -> bool:
        """Whether the process that the harness started as has reported the end of the program."""
        lines = self._lines()
        first = lines[0].split() if lines else []
        return f"{self._token.decode()} {first[1] if len(first) > 1 else ''}" in lines

    def _end_of_report(self) -> End:
        """Judge the report of a program whose last line ran."""
        others = [line for line in self._lines()[1:] if not line.startswith(("refused ", self._token.decode()))]
        return ("failed", "wrote to the report of the sandbox") if others else ("passed", "")

    def _end(self, status: int, cpu_seconds: float) -> End:
        """Judge the end of a process that did not report the end of its program."""
        code = os.waitstatus_to_exitcode(status)
        number = -code if code < 0 else code - _SIGNALLED
        if number > 0:
            # The kernel counts in ticks for the limit, and more finely for what it reports.
            killed = number == signal.SIGKILL and cpu_seconds > 0.5 * self._job["cpu_seconds"]
            if killed or number == signal.SIGXCPU:
                return "out_of_time", f"more than {self._job['cpu_seconds']} s of CPU time"
            return "failed", f"ended by {_name(number)}"
        kinds = {"memory": "out_of_memory", "output": "too_much_output", "refused": "refused"}
        for line in self._lines()[1:]:
            kind, _, name = line.partition(" ")
            if kind in kinds:
                return kinds[kind], name
            if kind == "error":
                return "failed", name
            if kind == "exit":
                return "failed", f"{name} before the last line"
        return "failed", f"exit status {code} before the last line"

    def _over_a_limit(self, child: int) -> End | None:
        found = self._members(child)
        if len(found) > self._job["processes"]:
            return self._too_many()
        if sum(member.threads for member in found) > MOST_THREADS * len(found):
            return "refused", f"more than {MOST_THREADS} threads"
        if sum(member.memory for member in found) > self._job["memory_mib"] << 20:
            return "out_of_memory", f"more than {self._job['memory_mib']} MiB"
        files = _sizes(self._job["folder"])
        if files is None:
            return "too_much_output", f"more than {MOST_FILES} files"
        if sum(files) > self._job["file_bytes"]:
            return "too_much_output", f"more than {self._job['file_bytes']} bytes in files"
        return None


def _be_process_1(spawn: Callable[[], int]) -> NoReturn:
    """Be the process 1 of the namespaces, to which the kernel delivers no signal as it does to others.

    Args:
        spawn: function that starts the harness.
    """
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        linux.end_with_parent(signal.SIGKILL)
        harness = spawn()
        os.closerange(0, os.sysconf("SC_OPEN_MAX"))
        ended = code = 0
        while ended != harness:
            ended, status = os.wait()
            code = os.waitstatus_to_exitcode(status)
        os._exit(code if code >= 0 else _SIGNALLED - code)
    finally:
        os._exit(1)


def _name(number: int) -> str:
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"


def _wait(child: int) -> tuple[int, float] | None:
    """Status and CPU time of a child that has ended; None before."""
    pid, status, usage = os.wait4(child, os.WNOHANG)
    return (status, usage.ru_utime + usage.ru_stime) if pid else None


def _sizes(folder: str) -> list[int] | None:
    """Sizes of the files below a folder; None if they are too many, or too deep."""
    found, pending = [], [folder]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    found.append(entry.stat(follow_symlinks=False).st_size if entry.is_file() else 0)
                    if len(found) > MOST_FILES:
                        return None
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
        except (FileNotFoundError, PermissionError):  # deleted, or closed to itself by the program
            continue
        except OSError:  # a path that is too long
            return None
    return found
