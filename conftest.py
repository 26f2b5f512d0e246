"""How all that pytest runs here is compiled, tests and examples of docstrings: cheaply, and kept."""

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

FLAGS = (
    "--xla_backend_optimization_level=0",
    "--xla_cpu_use_fusion_emitters=false",
    # A program in one piece: its parts would be compiled by threads that the other processes' programs need.
    "--xla_cpu_parallel_codegen_split_count=1",
    # Wide vectors take LLVM longer, and tests have little to compute.
    "--xla_cpu_prefer_vector_width=128",
)
"""Compiling dominates, and each of these makes it cheaper."""

MOST_PROCESSES = 8
"""Each takes a few gigabytes, and compiles anew what the others have compiled at the same time."""


def _processor() -> str:
    """What distinguishes this machine's code generation: XLA's cache keys leave the CPU's features out."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    described = [line for line in lines if line.startswith(("model name", "flags", "Features"))]
    return "\n".join(sorted(set(described))) or f"{platform.machine()} {platform.processor()}"


def _compilation_cache() -> Path:
    processor = hashlib.sha256(_processor().encode()).hexdigest()[:12]
    return Path.home() / ".cache/jaxkd/tests" / f"{importlib.metadata.version('jaxlib')}-{processor}"


def _known(flags: tuple[str, ...], answers: Path) -> list[str]:
    """The flags that the installed jaxlib knows: it ends a process that sets another.

    Args:
        flags: to try, each in a process of its own.
        answers: file of the answers of earlier runs, read and written.
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
    cache = _compilation_cache()
    # Those that were set already come last, and prevail.
    os.environ["XLA_FLAGS"] = " ".join([*_known(FLAGS, cache / "flags.json"), os.environ.get("XLA_FLAGS", "")]).strip()
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache))
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """A process for each core; none beside this one where files alone were named: it ends before others have begun."""
    if all(Path(argument.partition("::")[0]).is_file() for argument in config.args):
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_PROCESSES)
