"""Store the results of a study in one file: its summary, figures per answer, runs by step, and environment.

python -m benchmarks.studies.keep_study runs/same_head --config configs/same_head.py
"""

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxkd.evals import BITS_PER_BYTE
from jaxkd.runtime import metric_writer

RESULTS = Path(__file__).parents[1] / "results"

VALIDATION = "validation/"
TRAINING = ("seconds", "train/at_floor", "train/strength")
"""Metrics of the training steps that are stored, if a run has them."""

_NUMBERS = re.compile(r"\[\n\s+((?:-?[\d.e-]+,?\s*)+)\]")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write `benchmarks/results/STUDY.json`."""
    parser = argparse.ArgumentParser(description="Keep what a study found in benchmarks/results.")
    parser.add_argument("workdir", type=Path, help="of the study, with its summary.json")
    parser.add_argument("--config", required=True, help="that it ran from")
    parser.add_argument("--to", type=Path, help="default: benchmarks/results/WORKDIR.json")
    given = parser.parse_args(arguments)
    path = given.to or RESULTS / f"{given.workdir.name}.json"
    path.write_text(text(kept(given.workdir, given.config)))
    print(path)


def kept(workdir: Path, config: str) -> dict[str, Any]:
    """Return the results of a study that are stored.

    A teacher may have been measured on answers that are too long in the tokens of its students: these appear only in
    the summary.

    Raises:
        FileNotFoundError: there is no summary, so none of the study is finished.
        ValueError: a row was not measured on the answers of all others.
    """
    if not (workdir / "summary.json").is_file():
        raise FileNotFoundError(f"workdir must hold a summary.json, got {workdir}. Run the study, or its --report.")
    measured = {path: json.loads(path.read_text()) for path in sorted(workdir.rglob("evaluation.json"))}
    language = {path: found for path, found in measured.items() if BITS_PER_BYTE.metric in found}
    answers = _answers(workdir, {path: found.pop(BITS_PER_BYTE.metric) for path, found in language.items()})
    columns: dict[str, dict[str, dict[str, list[float]]]] = {}
    for path, evaluations in (language or measured).items():
        stage, at = _place(workdir, path)
        for evaluator, evaluation in evaluations.items():
            for name, column in evaluation.get("per_example", {}).items():
                values = [float(f"{one:.4g}") for one in column]
                columns.setdefault(f"{evaluator}/{name}", {}).setdefault(stage, {})[at] = values
    environments = sorted(workdir.rglob("environment.json"))
    environment = json.loads(environments[-1].read_text()) if environments else {}
    environment.pop("argv", None)
    curves = _by_step(workdir)
    return {
        "command": f"python -m jaxkd.train --config {config}",
        "summary": json.loads((workdir / "summary.json").read_text()),
        "environment": environment,
        **answers,
        "columns": columns,
        "curves": {name.removeprefix(VALIDATION): runs for name, runs in curves.items() if name.startswith(VALIDATION)},
        "training": {name: curves[name] for name in TRAINING if name in curves},
    }


def _answers(workdir: Path, scored: dict[Path, dict[str, Any]]) -> dict[str, Any]:
    """Return the answers that all models were measured on, and their nats; empty if no text was measured."""
    if not scored:
        return {}
    keys = min((found["keys"] for found in scored.values()), key=len)
    sizes: dict[str, int] = {}
    nats: dict[str, dict[str, list[float]]] = {}
    for path, found in scored.items():
        stage, at = _place(workdir, path)
        here, bytes_here = (
            dict(zip(found["keys"], found["per_example"][name], strict=True)) for name in ("nats", "bytes")
        )
        sizes = sizes or {key: int(bytes_here[key]) for key in keys if key in bytes_here}
        if any(bytes_here.get(key) != sizes.get(key, -1) for key in keys):
            raise ValueError(f"every row must be measured on the same answers, got others in {path}.")
        nats.setdefault(stage, {})[at] = [round(here[key], 3) for key in keys]
    return {
        "test_answers": {"keys": keys, "bytes": [sizes[key] for key in keys]},
        "nats_of_test_answers": nats,
    }


def _place(workdir: Path, evaluation: Path) -> tuple[str, str]:
    """Return the stage and the seed of a run, "all" for a run of all seeds."""
    stage, *seed = evaluation.parent.relative_to(workdir).parts
    return stage, seed[0] if seed else "all"


def _by_step(workdir: Path) -> dict[str, dict[str, dict[str, dict[str, list[float]]]]]:
    """Return each metric of the runs by stage and seed: the steps, and the values there."""
    curves: dict[str, dict[str, dict[str, dict[str, list[float]]]]] = {}
    for path in sorted(workdir.rglob(metric_writer.FILE)):
        stage, seed = path.parent.relative_to(workdir).parts
        for row in metric_writer.read(path.parent):
            step = row.pop("step")
            for name, value in row.items():
                points = curves.setdefault(name, {}).setdefault(stage, {}).setdefault(seed, {"steps": [], "values": []})
                points["steps"].append(step)
                points["values"].append(round(value, 5))
    return curves


def text(value: dict[str, Any]) -> str:
    """Format JSON with each list of numbers on one line."""
    lines = json.dumps(value, indent=1, ensure_ascii=False)
    return _NUMBERS.sub(lambda found: f"[{' '.join(found.group(1).split())}]", lines) + "\n"


if __name__ == "__main__":
    main()
