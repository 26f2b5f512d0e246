"""Twenty SIGKILLs and each kind of damage: the study ends as an undisturbed one, or says in a line what is broken."""

import contextlib
import itertools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import environment
from benchmarks.faults import damage, runs, tiny_study
from benchmarks.row import Bar, Benchmark, Measured, Row
from jaxkd.runtime.progress import progress

KILLS, QUICK_KILLS = 20, 3
ALL = Bar(relation=">=", limit=1.0)
ENOUGH_BYTES = 3_000_000
"""Size of the disk that is too small: the study writes a few times as much."""


def measure(quick: bool) -> Measured:
    """Kill and damage a study of a minute; quick: three kills and one kind of damage."""
    with tempfile.TemporaryDirectory(prefix="jaxkd-kills-") as name:
        folder = Path(name)
        config = tiny_study.write(folder / "study")
        begun = time.monotonic()
        whole = runs.run(config, folder / "whole")
        seconds = time.monotonic() - begun
        if whole.status:
            raise RuntimeError(f"the undisturbed study must succeed, got status {whole.status}:\n{whole.output}")
        expected = runs.outcome(folder / "whole")
        rows = [
            *_kills(config, folder, expected, QUICK_KILLS if quick else KILLS, seconds),
            *_damages(config, folder, expected, 1 if quick else len(damage.KINDS)),
        ]
    return Measured(rows=tuple(rows), environment=environment.here())


BENCHMARK = Benchmark(
    name="kills",
    summary="a study after SIGKILLs and damage: bitwise the undisturbed one, or one line that names file and fix",
    measure=measure,
)


def _kills(config: Path, folder: Path, expected: dict[str, Any], count: int, seconds: float) -> Iterator[Row]:
    """Kill so often, and begin anew where a study ended between two kills."""
    ended, workdir = [], folder / "killed"
    moments = iter(runs.moments(10 * count, seconds))
    with progress(count, "kills") as bar:
        for number in range(1, count + 1):
            while (finished := runs.killed(config, workdir, next(moments))) is not None:
                ended.append(_equals(finished, workdir, expected))
                shutil.rmtree(workdir)
            bar.update(number)
    ended.append(_equals(runs.run(config, workdir), workdir, expected))
    yield Row(figure=f"SIGKILLs at random moments of {seconds:.0f} s", value=count, unit="kills")
    yield Row.share("studies between them that ended bitwise as the undisturbed one", ended, bar=ALL)


def _equals(finished: runs.Ended, workdir: Path, expected: dict[str, Any]) -> bool:
    return finished.status == 0 and runs.outcome(workdir) == expected


def _damages(config: Path, folder: Path, expected: dict[str, Any], kinds: int) -> Iterator[Row]:
    """Damage copies of a study that was interrupted in a stage, run them again, and tell what happened."""
    stopped = _interrupted(config, folder / "interrupted")
    damages: dict[str, Callable[[Path], None]] = {}
    for (kind, damaged), (what, target) in itertools.product(
        list(damage.KINDS.items())[:kinds], damage.TARGETS.items()
    ):
        damages[f"{kind}: {what}"] = lambda workdir, damaged=damaged, target=target: damaged(target(workdir))
    damages["flip: arrays of every checkpoint"] = damage.all_checkpoints
    damages["delete: every checkpoint"] = damage.without_checkpoints
    good = []
    with progress(len(damages) + 3, "damages") as bar:
        for number, (name, damaged) in enumerate(damages.items(), start=1):
            workdir = shutil.copytree(stopped, folder / "damaged")
            damaged(workdir)
            row = _told(name, runs.run(config, workdir), workdir, expected)
            good.append(row.value == 1)
            yield row
            shutil.rmtree(workdir)
            bar.update(number)
        for number, row in enumerate(
            (
                _changed_text(config, stopped, folder),
                _second_run(config, folder, expected),
                *_full_disk(config, folder, expected),
            ),
            start=len(damages) + 1,
        ):
            good.append(row.value == 1)
            yield row
            bar.update(number)
    yield Row.share("damages after which nothing broken was believed", good, bar=ALL)


def _told(name: str, ended: runs.Ended, workdir: Path, expected: dict[str, Any]) -> Row:
    """Return 1 if the study ended as the undisturbed one, or said in a line what is damaged; 0 otherwise."""
    if ended.status == 0:
        equal = _learnt(runs.outcome(workdir)) == _learnt(expected)
        if not equal and (lines := [line for line in ended.output.splitlines() if "is damaged" in line]):
            return Row(figure=f"{name}: {lines[0].replace(str(workdir.parent), '...')}", value=1.0, unit="")
        return Row(figure=f"{name}: {'equal' if equal else 'BELIEVED'}", value=float(equal), unit="")
    if ended.says_one_line:
        return Row(figure=f"{name}: {ended.error.replace(str(workdir.parent), '...')}", value=1.0, unit="")
    return Row(figure=f"{name}: TRACEBACK {ended.error[:200]}", value=0.0, unit="")


def _learnt(outcome: dict[str, Any]) -> dict[str, Any]:
    """Leave out the caches: what is damaged in them and is not read again does no harm."""
    return {name: value for name, value in outcome.items() if not name.endswith(".npy")}


def _interrupted(config: Path, workdir: Path) -> Path:
    """Train until a stage with a cached teacher has two checkpoints, and kill it."""
    process = runs.start(config, workdir)
    checkpoints = workdir / damage.STAGE / "checkpoints"
    while len(list(checkpoints.glob("[0-9]*/commit_success.txt"))) < 2 or not (checkpoints / "4").exists():
        if process.poll() is not None:
            raise RuntimeError(f"the study must run until it is killed, got:\n{process.communicate()[0]}")
        time.sleep(0.01)
    process.kill()
    process.communicate()
    return workdir


def _changed_text(config: Path, stopped: Path, folder: Path) -> Row:
    """Change an answer of the training file between two runs."""
    workdir, text = shutil.copytree(stopped, folder / "damaged"), config.parent / "answers.jsonl"
    original = text.read_text()
    text.write_text(original.replace("0 1 2", "0 1 7", 1))
    ended = runs.run(config, workdir)
    text.write_text(original)
    row = _told("change: training text", ended, workdir, {})
    shutil.rmtree(workdir)
    return row


def _second_run(config: Path, folder: Path, expected: dict[str, Any]) -> Row:
    """Start a second run in the folder of one that is under way: the first must end, the second say that it may not."""
    workdir = folder / "occupied"
    first = runs.start(config, workdir)
    while not (workdir / "sft/0/metrics.jsonl").exists():
        time.sleep(0.01)
    second = runs.run(config, workdir)
    row = _told("second run in one folder", second, workdir, expected)
    ended = runs.finish(first)
    if not _equals(ended, workdir, expected):
        return Row(figure=f"{row.figure}; the first: {ended.error[:200]}", value=0.0, unit="")
    return row


def _full_disk(config: Path, folder: Path, expected: dict[str, Any]) -> Iterator[Row]:
    """Train on a disk that fills up, and again after some was freed; only where a small disk can be mounted."""
    with _disk(folder / "disk", ENOUGH_BYTES) as small:
        if small is None:
            return
        refused = _told("full disk", runs.run(config, small / "run"), small / "run", expected)
        subprocess.run(["mount", "-o", "remount,size=1g", str(small)], check=True)
        ended = runs.run(config, small / "run")
        if not _equals(ended, small / "run", expected):
            yield Row(figure=f"{refused.figure}; once freed: {ended.error[:200]}", value=0.0, unit="")
        else:
            yield refused


@contextlib.contextmanager
def _disk(folder: Path, size: int) -> Iterator[Path | None]:
    """Mount a disk of so many bytes; None where that is not allowed."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.name != "posix" or subprocess.run(mount, capture_output=True).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
