"""Whether the tests notice a fault: a seeded sample of mutants of the pure layers, each run against its own tests."""

import concurrent.futures
import contextvars
import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import environment, units
from benchmarks.row import Bar, Benchmark, Measured, Row
from benchmarks.tests.mutations import Mutation, of_folder
from jaxkd.runtime.progress import progress

ROOT = Path(__file__).parents[2]

ROOMS = ("losses", "kernels", "alignment", "projector", "dynamics")
NOT_MUTATED = ("jaxkd/dynamics/systems/chaotic.py",)
"""Files whose tests need an extra that `dev` leaves out."""
SAMPLE, QUICK_SAMPLE = 30, 4
"""Mutants of each room."""
SEED = 0
LIMIT_S = 3600.0
"""Time limit of a mutant: one that exceeds it counts as noticed, since it does not end."""

KILLED = Bar(relation=">=", limit=0.85)

_COPIED = ("jaxkd", "tests", "benchmarks", "docs", "configs", "launch", "conftest.py", "pyproject.toml", "README.md")
_FAILED, _PASSED = (1, 2, 3, 4), 0
"""Exit codes of pytest: a test that failed; a test file, a plugin or a conftest that cannot be imported; all passed."""


def measure(quick: bool) -> Measured:
    """Run every mutant of the sample; quick: four of each room in place of 30."""
    sample = {room: sampled(ROOT, room, QUICK_SAMPLE if quick else SAMPLE) for room in ROOMS}
    killed = _run([(room, mutation) for room, chosen in sample.items() for mutation in chosen])
    rows = [Row.share("mutants killed", list(killed.values()), bar=KILLED)]
    for room, chosen in sample.items():
        rows.append(Row.share(f"of jaxkd.{room}", [killed[mutation] for mutation in chosen]))
    rows += [
        Row(figure=f"survived: {mutation}", value=0, unit="killed")
        for mutation, noticed in killed.items()
        if not noticed
    ]
    return Measured(rows=tuple(rows), environment=environment.here())


BENCHMARK = Benchmark(
    name="mutants",
    summary="the share of small faults in the pure layers that the tests of their own room notice",
    measure=measure,
)


def sampled(root: Path, room: str, count: int) -> list[Mutation]:
    """Sample mutations of a room without replacement, the same for the same source."""
    every = [one for one in of_folder(root, f"jaxkd/{room}") if one.path not in NOT_MUTATED]
    return random.Random(f"{SEED} {room}").sample(every, count)


def tests_of(root: Path, room: str, mutation: Mutation) -> list[str]:
    """List the test files of a room: first those of the changed module, then of its folder, then those that name it."""
    files = sorted((root / "tests" / room).rglob("test_*.py")) or [root / "tests" / f"test_{room}.py"]
    source = Path(mutation.path)

    def relevance(file: Path) -> tuple[bool, bool, int]:
        text = file.read_text(encoding="utf-8")
        named = text.count(mutation.scope) if mutation.scope else 0
        return source.stem in file.stem, source.parent.name == file.parent.name, named

    return [str(file.relative_to(root)) for file in sorted(files, key=relevance, reverse=True)]


def _run(sample: list[tuple[str, Mutation]]) -> dict[Mutation, bool]:
    """Return whether each mutant was killed, with one process per core."""
    tests, killed = _digest(ROOT / "tests"), {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool, progress(len(sample), "mutants") as bar:
        # A thread does not inherit the context, which holds the cache of units of work.
        running = {
            pool.submit(contextvars.copy_context().run, units.kept, _noticed, room, mutation, tests): mutation
            for room, mutation in sample
        }
        try:
            for finished in concurrent.futures.as_completed(running):
                killed[running[finished]] = finished.result()
                bar.update(len(killed), killed=sum(killed.values()))
        finally:
            pool.shutdown(cancel_futures=True)
    return {mutation: killed[mutation] for _, mutation in sample}


def _noticed(room: str, mutation: Mutation, tests: str) -> bool:
    """Whether a test of the room fails on the mutant, in a copy of the repository.

    Args:
        tests: digest of their text, so that only results of these tests come from the cache.
    """
    del tests
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider"]
    with tempfile.TemporaryDirectory(prefix="jaxkd-mutant-") as folder:
        copy = _copied(Path(folder))
        file = copy / mutation.path
        file.write_bytes(mutation.applied(file.read_bytes()))
        try:
            run = subprocess.run(
                [*command, *tests_of(copy, room, mutation)],
                cwd=copy,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=LIMIT_S,
            )
        except subprocess.TimeoutExpired:
            return True
    if run.returncode not in (*_FAILED, _PASSED):
        raise RuntimeError(f"pytest must pass or fail on {mutation}, got exit code {run.returncode}:\n{run.stdout}")
    return run.returncode != _PASSED


def _copied(folder: Path) -> Path:
    """Copy the files that the tests read, compiled Python included: file times are preserved, so it stays valid."""
    for name in _COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name)
        elif (ROOT / name).exists():
            shutil.copy2(ROOT / name, folder / name)
    return folder


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
