"""Runs of untrusted Python programs, each in a process of its own that another one watches.

Every program gets an empty temporary folder, an environment without the caller's variables, stdin that is at its end,
and limits on time, memory, output and files.  Around that lie four layers, each used where the system has it:

| layer | where | holds |
|---|---|---|
| namespaces | Linux that lets users make them | no other process is visible, no network, no shared memory |
| seccomp | Linux on x86_64 and aarch64 | the kernel denies sockets, signals, tracing, new processes, privileges |
| landlock | Linux 5.13 and later | the kernel writes in the folder only, and reads there, in Python and in `/usr` |
| audit | everywhere | Python's own functions deny the same, and the verdict names what was tried |

The first three need no root.  Where they are missing, as in a container that forbids them or on macOS, the audit hook
is alone: it sees what a program does through Python's functions, and not what C code does by itself (modules that open
files or start processes inside, `os.mkfifo`, `_posixsubprocess`, bytecode written by hand).  Without `/proc`, as on
macOS, neither the number of processes nor their memory is watched, and a process that leaves its group is not found.

A program passes only if its last line ran: the harness then reports a random token, which no name, frame or file of
the process shows.  The tests run in the same interpreter as the code that they test, so what is written to deceive
them, such as a result that equals everything, can.  None of this is a security boundary against a determined attacker;
a container or a virtual machine is.
"""

import collections
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from jaxkd.runtime.confinement.channels import bootstrap
from jaxkd.runtime.confinement.removal import remove
from jaxkd.runtime.sandbox.limits import Limits
from jaxkd.runtime.sandbox.outcome import Outcome

_LAYERS = ("namespaces", "landlock", "seccomp", "audit")
"""Layers to use where the system has them."""
_AHEAD = 2
"""Programs that are waiting or done, per worker, while the caller looks at an outcome."""


def run(program: str, *, limits: Limits = Limits()) -> Outcome:
    """Run a program to its end or to a limit, and end everything that it started.

    Args:
        program: Python source, tests included: it passes if its last line runs.
        limits: limits of the program.

    Returns:
        Verdict, duration and end of the output.

    Raises:
        RuntimeError: Python could not be started.
        ValueError: `processes` is more than the system can hold a program to.

    Example:
        >>> run("assert sorted([2, 1]) == [1, 2]").verdict
        'passed'
        >>> run("import sys; sys.exit(0)").verdict
        'failed'
    """
    return _outcome(_Supervised(program, limits).answer())


def run_all(
    programs: Iterable[str], *, limits: Limits = Limits(), workers: int | None = None
) -> Generator[Outcome, None, None]:
    """Run programs side by side, and return their outcomes in order, each as soon as it is there.

    An iterator that is closed, or interrupted, ends the programs that are running.

    Args:
        programs: sources, each as for `run`.
        limits: limits of each program.
        workers: programs that run at a time; None: one per core.

    Returns:
        Iterator over one outcome per program.

    Raises:
        ValueError: workers is not positive; or `processes` is more than the system can hold a program to.
        RuntimeError: Python could not be started.
    """
    count = workers if workers is not None else os.cpu_count() or 1
    if count < 1:
        raise ValueError(f"workers must be 1 or more, got {count}. Leave it out for one per core.")
    return _in_order(iter(programs), limits, count)


def layers() -> tuple[str, ...]:
    """Return the names of the layers that hold on this machine."""
    return tuple(_Supervised("", Limits()).answer()["layers"])


def _in_order(programs: Iterator[str], limits: Limits, workers: int) -> Generator[Outcome, None, None]:
    pending: collections.deque[tuple[_Supervised, Future[dict[str, Any]]]] = collections.deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="sandbox") as pool:
        try:
            for program in programs:
                supervised = _Supervised(program, limits)
                pending.append((supervised, pool.submit(supervised.answer)))
                if len(pending) >= _AHEAD * workers:
                    yield _outcome(pending.popleft()[1].result())
            while pending:
                yield _outcome(pending.popleft()[1].result())
        finally:
            for supervised, future in pending:
                future.cancel()
                supervised.stop()


def _outcome(answer: dict[str, Any]) -> Outcome:
    return Outcome(**{field.name: answer[field.name] for field in dataclasses.fields(Outcome)})


class _Supervised:
    """One program and the supervisor that runs it."""

    def __init__(self, program: str, limits: Limits) -> None:
        self._program, self._limits = program, limits
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def answer(self) -> dict[str, Any]:
        """Run the program, and return what the supervisor reports."""
        folder = os.path.realpath(tempfile.mkdtemp(prefix="jaxkd-sandbox-"))
        try:
            return self._answer(folder)
        finally:
            remove(folder)  # as the supervisor did, unless it was ended

    def stop(self) -> None:
        """End the program if it is running, or as soon as it would."""
        self._stopped = True
        if self._process is not None:
            self._process.terminate()

    def _answer(self, folder: str) -> dict[str, Any]:
        job = dataclasses.asdict(self._limits) | {
            "program": self._program,
            "folder": folder,
            "layers": _LAYERS,
            "environment": _environment(folder),
        }
        with tempfile.TemporaryFile() as file:
            file.write(json.dumps(job).encode())
            file.seek(0)
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", bootstrap("supervisor")],
                stdin=file,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=_environment(folder),
                start_new_session=True,  # a Ctrl-C is for the caller, which ends it in order
            )
        with self._process as process:
            if self._stopped:  # before there was a process to end
                process.terminate()
            try:
                answer, errors = process.communicate()
            except BaseException:
                process.terminate()
                raise
        if process.returncode < 0:
            number = -process.returncode
            return {"verdict": "refused", "reason": f"ended its supervisor by signal {number}", "seconds": 0.0} | {
                "output": "",
                "layers": (),
            }
        found = json.loads(answer) if answer else {"error": errors.decode(errors="replace")}
        if "missing" in found:
            raise ValueError(
                f"processes must be 1 where the kernel cannot ask before one starts, got {self._limits.processes}. "
                "Leave it out: it takes Linux 5.5 or later on x86_64 or aarch64, and a container that permits seccomp."
            )
        if "error" in found:
            raise RuntimeError(
                f"Python must start in the sandbox, and did not: {found['error'].strip()}\n"
                f"Run `{sys.executable} -c pass`; if that works, raise memory_mib, here {self._limits.memory_mib}."
            )
        return found


def _environment(folder: str) -> dict[str, str]:
    """Variables of a program: the same on every machine, but for the libraries that Python may need."""
    libraries = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH") if name in os.environ}
    return libraries | {
        "PATH": os.defpath,
        "HOME": folder,
        "TMPDIR": folder,
        "PYTHONHASHSEED": "0",  # else the order of a set decides about a verdict
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",  # each thread reserves address space
    }
