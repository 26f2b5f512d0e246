"""Studies that a benchmark runs: where they are kept, and what their models scored."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.worker import ROOT
from jaxkd.study import Study
from jaxkd.study.program import run_and_report
from jaxkd.study.study import stage_folder
from jaxkd.training.results.evaluation import Evaluation
from jaxkd.training.stage_folder import read_evaluations

Scored = Mapping[str, Mapping[str, tuple[Evaluation, ...]]]
"""Evaluations by name of each stage, one for each seed."""


@contextlib.contextmanager
def finished(study: Study, *, kept: bool) -> Iterator[Path]:
    """Run a study, whose config has its name, and yield its folder: runs/NAME, or a temporary one.

    Args:
        study: study.
        kept: whether its runs are kept in runs/NAME, so that the same command goes on where it was stopped.
    """
    with contextlib.nullcontext(ROOT / "runs" / study.name) if kept else tempfile.TemporaryDirectory() as folder:
        run_and_report(study, Path(folder), command=f"python -m jaxkd.train --config configs/{study.name}.py")
        yield Path(folder)


def scored(study: Study, workdir: Path) -> Scored:
    """Read the evaluations of a finished study."""
    found: dict[str, dict[str, tuple[Evaluation, ...]]] = {}
    for stage in study.stages:
        each = [read_evaluations(stage_folder(workdir, stage, seed)) or {} for seed in study.seeds_of(stage)]
        found[stage.name] = {name: tuple(one[name] for one in each) for name in each[0]}
    return found
