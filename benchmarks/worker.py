"""A process that answers requests and stays alive between them, so that it compiles and loads only once.

Both ends of the pipe: `serve` runs in the process, `Worker` talks to it.  This file imports only the standard library,
so that it also runs in a peer's environment.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Self, cast

ROOT = Path(__file__).parent.parent

ONE_CORE = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
}
"""Environment variables that restrict JAX, torch and NumPy to one thread."""


def serve(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answer requests, one line of JSON each, until there are no more.  A failed request is answered with its error."""
    # A library that prints must not write between the answers.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        for line in sys.stdin:
            try:
                reply = answer(json.loads(line))
            except Exception as error:  # noqa: BLE001 - every error is reported to the caller
                traceback.print_exc()
                reply = {"error": str(error) or type(error).__name__}
            answers.write(json.dumps(reply) + "\n")
            answers.flush()


class Worker:
    """A module of this repository that runs as a process and answers requests.  Closed by `with`."""

    def __init__(
        self, python: Path, module: str, *, core: int | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start the process.

        Args:
            python: the interpreter that runs it.
            module: its dotted name; it calls `serve`.
            core: the only processor core that it may use; None: all.
            environment: variables in addition to those of this process.

        Raises:
            ValueError: a core is given, but `taskset` is missing.
        """
        command = [str(python), "-m", module]
        if core is not None:
            if shutil.which("taskset") is None:
                raise ValueError(f"core must be None where there is no taskset, got {core}. Run this on Linux.")
            command = ["taskset", "--cpu-list", str(core), *command]
        self._module = module
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - see __exit__
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=_environment(environment or {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._said.close()

    def ask(self, **request: Any) -> dict[str, Any]:
        """Return the answer to one request.

        Raises:
            ChildProcessError: the request failed, or the process ended; with its error output.
        """
        requests, answers = cast(IO[str], self._process.stdin), cast(IO[str], self._process.stdout)
        try:
            requests.write(json.dumps(request) + "\n")
            requests.flush()
            line = answers.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            code = self._process.wait()
            raise ChildProcessError(f"{self._module} must answer, got its end with exit code {code}:\n{self._tail()}")
        answer = json.loads(line)
        if "error" in answer:
            raise ChildProcessError(answer["error"])
        return answer

    def _tail(self, lines: int = 12) -> str:
        self._said.seek(0)
        return "\n".join(self._said.read().strip().splitlines()[-lines:])


def _environment(added: Mapping[str, str]) -> dict[str, str]:
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if name not in hidden} | dict(added)
