"""Compilation settings for all that pytest runs here, tests and examples of docstrings: cheap, and cached."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jaxkd.runtime.compilation_cache import machine

FLAGS = (
    "--xla_backend_optimization_level=0",
    "--xla_cpu_use_fusion_emitters=false",
    # One piece per program: parts would be compiled by threads that the other processes' programs need.
    "--xla_cpu_parallel_codegen_split_count=1",
    # Wide vectors take LLVM longer, and tests have little to compute.
    "--xla_cpu_prefer_vector_width=128",
)
"""Compiler flags: compiling dominates, and each of these makes it cheaper."""

MOST_PROCESSES = 8
"""Largest number of processes: each takes a few gigabytes, and recompiles programs that others compile concurrently."""


def _known(flags: tuple[str, ...], answers: Path) -> list[str]:
    """Return the flags that the installed jaxlib supports: it ends a process that sets another.

    Args:
        flags: flags to try, each in a separate process.
        answers: file of the results of earlier runs, read and written.
    """
    known = json.loads(answers.read_text()) if answers.exists() else {}
    if not known.keys() >= set(flags):
        program = [sys.executable, "-c", "import jax; jax.devices()"]
        running = {
            flag: subprocess.Popen(
                program, env=os.environ | {"XLA_FLAGS": flag, "JAX_PLATFORMS": "cpu"}, stderr=subprocess.DEVNULL
            )
            for flag in flags
        }
        known = {flag: process.wait() == 0 for flag, process in running.items()}
        answers.parent.mkdir(parents=True, exist_ok=True)
        answers.write_text(json.dumps(known))
    return [flag for flag in flags if known[flag]]


# Read when jax is imported, here and in the programs that tests start.  The processes of pytest-xdist inherit them.
if "PYTEST_XDIST_WORKER" not in os.environ:
    cache = Path.home() / ".cache/jaxkd/tests" / machine()
    # Flags that are already set come last, and so take precedence.
    os.environ["XLA_FLAGS"] = " ".join([*_known(FLAGS, cache / "flags.json"), os.environ.get("XLA_FLAGS", "")]).strip()
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache))
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    # LLVM and large arrays take huge pages then (`jaxkd.runtime.host_memory`), in the processes that start.
    os.environ.setdefault("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return one process per core; none besides this one if only files are named: it ends before others have begun."""
    if all(Path(argument.partition("::")[0]).is_file() for argument in config.args):
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_PROCESSES)
