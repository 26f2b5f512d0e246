"""Cost of the test suite: seconds of each file and each activity, with empty caches and with warm ones."""

import collections
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import environment
from benchmarks.row import Bar, Benchmark, Measured, Row
from benchmarks.tests import suite_profile

ROOT = Path(__file__).parents[2]

COLD_SECONDS = Bar(relation="<=", limit=600)
WARM_SECONDS = Bar(relation="<=", limit=360)
GIGABYTES = Bar(relation="<=", limit=8)

COMPILING = ("tracing", "lowering", "compiling")
ACTIVITIES = ("importing", "collecting", *COMPILING, "running")
LEAST_S = 2.0
"""Seconds below which files share one row."""
QUICK = ("tests/losses", "tests/alignment")


def measure(quick: bool) -> Measured:
    """Run the suite twice, at first with an empty compilation cache; quick: two rooms of it."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="jaxkd-suite-") as cache:
        for name, bar in (("cold", COLD_SECONDS), ("warm", WARM_SECONDS)):
            seconds, records = _run(Path(cache), QUICK if quick else ())
            rows.append(Row(figure=f"{name}: `pytest`", value=seconds, unit="s", bar=bar))
            rows += rows_of(name, records)
    return Measured(rows=tuple(rows), environment=environment.here("pytest", "pytest-xdist"))


BENCHMARK = Benchmark(
    name="suite",
    summary="seconds of the test suite by file and by activity, and its memory, with empty caches and warm ones",
    measure=measure,
)


def rows_of(name: str, records: Iterable[dict[str, Any]]) -> list[Row]:
    """Add up what the processes of one run wrote.

    Args:
        name: name of the run, in front of each figure.
        records: lines of `suite_profile`.
    """
    activities, files = collections.Counter(), collections.Counter()
    programs, tests, gigabytes = 0, 0, 0.0
    for record in records:
        compiled = {
            activity: record[activity] for activity in ("tracing", "lowering", "compiling") if activity in record
        }
        activities.update(compiled)
        activities.update({one: record[one] for one in ("importing", "collecting") if one in record})
        programs += record.get("programs", 0)
        tests += record["phase"] == "call"
        gigabytes += record.get("gigabytes", 0.0)
        if "seconds" in record:
            activities["running"] += record["seconds"] - sum(compiled.values())
            files[record["test"].partition("::")[0]] += record["seconds"]
    rows = [Row(figure=f"{name}: {one}, all processes", value=activities[one], unit="s") for one in ACTIVITIES]
    rows.append(Row(figure=f"{name}: programs", value=programs, unit=""))
    rows.append(Row(figure=f"{name}: tests", value=tests, unit=""))
    if gigabytes:
        rows.append(Row(figure=f"{name}: peaks of all processes, added up", value=gigabytes, unit="GB", bar=GIGABYTES))
    long = {file: seconds for file, seconds in files.most_common() if seconds >= LEAST_S}
    rows += [Row(figure=f"{name}: {file}", value=seconds, unit="s") for file, seconds in long.items()]
    rest = sum(files.values()) - sum(long.values())
    rows.append(Row(figure=f"{name}: {len(files) - len(long)} other files", value=rest, unit="s"))
    return rows


def _run(cache: Path, tests: Sequence[str]) -> tuple[float, list[dict[str, Any]]]:
    with tempfile.TemporaryDirectory(prefix="jaxkd-suite-profile-") as folder:
        settings = {suite_profile.FOLDER: folder, "JAX_COMPILATION_CACHE_DIR": str(cache)}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "benchmarks.tests.suite_profile", *tests]
        began = time.perf_counter()
        run = subprocess.run(command, cwd=ROOT, env=os.environ | settings, stdout=subprocess.PIPE, text=True)
        seconds = time.perf_counter() - began
        if run.returncode:
            raise RuntimeError(f"the suite must pass to be measured, got exit code {run.returncode}:\n{run.stdout}")
        lines = [line for file in Path(folder).iterdir() for line in file.read_text(encoding="utf-8").splitlines()]
    return seconds, [json.loads(line) for line in lines]
