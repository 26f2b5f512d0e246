"""A study: stages that run in order, seed by seed, and are reported side by side."""

import dataclasses
import json
import logging
import resource
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import jax

from jaxkd import config as configs
from jaxkd import metric_writer, report
from jaxkd.checkpoint import check_writable
from jaxkd.evals.bootstrap import Comparison, compare
from jaxkd.evals.evaluator import Evaluation
from jaxkd.stage import Stage, read_evaluations

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """What a config file returns."""

    name: str
    title: str
    description: str
    """A paragraph for the head of the report."""
    stages: tuple[Stage, ...]
    seeds: tuple[int, ...] = (0,)
    comparisons: tuple[tuple[str, str], ...] = ()
    """Pairs of labels whose difference in bits per byte is reported with an interval."""

    def __post_init__(self) -> None:
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise ValueError(f"stages must have different names, got {', '.join(names)}.")
        labels = {stage.label for stage in self.stages if stage.label}
        for label in (label for pair in self.comparisons for label in pair):
            if label not in labels:
                raise ValueError(f"comparisons must name labels of stages, got {label!r}. Labels: {', '.join(labels)}.")


def run_study(study: Study, workdir: Path, *, only: str | None = None, command: str = "") -> dict[str, Any]:
    """Run what is not finished yet, then write summary.json and report.html.

    Args:
        study: validated whole before the first stage starts.
        workdir: of the study; a stage's folder is WORKDIR/STAGE, or WORKDIR/STAGE/SEED where it is seeded.
        only: run this stage alone.
        command: as the user typed it, for the report.

    Raises:
        ValueError: a stage that refuses its config, or an unknown `only`.
        OSError: a workdir that cannot be written, or a disk without room for the checkpoints.
    """
    selected = [stage for stage in study.stages if only in (None, stage.name)]
    if not selected:
        raise ValueError(
            f"only must name a stage of the study, got {only!r}. Stages: {', '.join(one.name for one in study.stages)}."
        )
    for stage in selected:
        stage.validate()
    open_ends = [
        stage
        for stage in selected
        for seed in _seeds(study, stage)
        if read_evaluations(_folder(workdir, stage, seed)) is None
    ]
    check_writable(workdir, sum(stage.disk_bytes() for stage in open_ends))
    usage = _Usage(workdir / "usage.json")
    for number, stage in enumerate(selected, start=1):
        for seed in _seeds(study, stage):
            folder = _folder(workdir, stage, seed)
            _log.info("[%d/%d] %s", number, len(selected), folder)
            # A seeded stage reads the stages before it at its own seed.
            earlier = {one.name: _folder(workdir, one, seed) for one in study.stages[: study.stages.index(stage)]}
            with usage.measure(str(folder.relative_to(workdir))):
                stage.run(folder, seed=seed, stages=earlier)
    if jax.process_index() != 0:
        return {}
    return write_summary(study, workdir, command=command)


def write_summary(study: Study, workdir: Path, *, command: str = "") -> dict[str, Any]:
    """The study's table, from what its stages left on disk: printed, and written as JSON and HTML."""
    finished: dict[str, dict[int, dict[str, Evaluation]]] = defaultdict(dict)
    for stage in study.stages:
        for seed in _seeds(study, stage):
            evaluations = read_evaluations(_folder(workdir, stage, seed))
            if stage.label and evaluations is not None:
                finished[stage.label][seed] = evaluations
    scored = {
        label: {seed: found["bits_per_byte"] for seed, found in by_seed.items() if "bits_per_byte" in found}
        for label, by_seed in finished.items()
    }
    by_seed = {
        label: {seed: one.metrics["bits_per_byte"] for seed, one in found.items()}
        for label, found in scored.items()
        if found
    }
    comparisons = [
        compare(first, tuple(scored[first].values()), second, tuple(scored[second].values()))
        for first, second in study.comparisons
        if by_seed.get(first) and by_seed.get(second)
    ]
    usage = _Usage(workdir / "usage.json")
    summary = {
        "bits_per_byte": {label: sum(found.values()) / len(found) for label, found in by_seed.items()},
        "bits_per_byte_by_seed": by_seed,
        "comparisons": [_comparison_json(one) for one in comparisons],
        "answers": {label: len(next(iter(found.values())).keys) for label, found in scored.items() if found},
        "seconds": usage.seconds(),
        "peak_memory_gb": usage.peak_memory_gb(),
        "seed": study.seeds[0] if len(study.seeds) == 1 else list(study.seeds),
    }
    (workdir / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    stages = [
        report.StageReport(
            name=stage.name,
            label=stage.label,
            metrics=finished[stage.label][seed]["bits_per_byte"].metrics,
            history=metric_writer.read(_folder(workdir, stage, seed)) if stage.seeded else [],
            samples=finished[stage.label][seed]["samples"].samples if "samples" in finished[stage.label][seed] else (),
            provenance=stage.provenance(),
            seed=seed if stage.seeded else None,
        )
        for stage in study.stages
        if stage.label
        for seed in sorted(finished.get(stage.label, {}))
        if "bits_per_byte" in finished[stage.label][seed]
    ]
    if stages:
        report.write_report(
            workdir / "report.html",
            title=study.title,
            description=study.description,
            summary=summary,
            stages=stages,
            comparisons=comparisons,
            command=command,
            config_text=json.dumps(configs.encode(study), indent=1),
        )
        report.print_summary(stages, comparisons, file=sys.stdout)
        sys.stdout.write(f"\n{workdir / 'summary.json'}\n{workdir / 'report.html'}\n")
    return summary


class _Usage:
    """Seconds and peak memory of each stage, added up over the processes that worked on it."""

    def __init__(self, path: Path):
        self.path = path
        self.stages: dict[str, dict[str, float]] = json.loads(path.read_text()) if path.exists() else {}

    def measure(self, name: str) -> "_Measured":
        return _Measured(self, name)

    def add(self, name: str, seconds: float) -> None:
        old = self.stages.get(name, {"seconds": 0.0, "peak_memory_gb": 0.0})
        # ru_maxrss counts KiB on Linux and bytes on macOS.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
        self.stages[name] = {
            "seconds": round(old["seconds"] + seconds, 1),
            "peak_memory_gb": round(max(old["peak_memory_gb"], peak), 3),
        }
        if jax.process_index() == 0:
            self.path.write_text(json.dumps(self.stages, indent=1) + "\n")

    def seconds(self) -> float:
        return round(sum(stage["seconds"] for stage in self.stages.values()), 1)

    def peak_memory_gb(self) -> float:
        return max((stage["peak_memory_gb"] for stage in self.stages.values()), default=0.0)


class _Measured:
    def __init__(self, usage: _Usage, name: str):
        self.usage, self.name = usage, name

    def __enter__(self) -> None:
        self.start = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self.usage.add(self.name, time.monotonic() - self.start)


def _comparison_json(comparison: Comparison) -> dict[str, Any]:
    return {
        "first": comparison.first,
        "second": comparison.second,
        **dataclasses.asdict(comparison.interval),
        "sentence": str(comparison),
    }


def _seeds(study: Study, stage: Stage) -> tuple[int, ...]:
    return study.seeds if stage.seeded else (study.seeds[0],)


def _folder(workdir: Path, stage: Stage, seed: int) -> Path:
    return workdir / stage.name / str(seed) if stage.seeded else workdir / stage.name
