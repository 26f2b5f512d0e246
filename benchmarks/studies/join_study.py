r"""Add the stored runs of a study to those of a workdir, so that seeds of several machines become one result.

python -m benchmarks.studies.join_study benchmarks/results/on_policy.json --config configs/on_policy.py \
    --workdir runs/on_policy
python -m jaxkd.train --config configs/on_policy.py --report
python -m benchmarks.studies.keep_study runs/on_policy --config configs/on_policy.py
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.studies.keep_study import VALIDATION
from jaxkd.evals import BITS_PER_BYTE
from jaxkd.runtime import metric_writer
from jaxkd.study.study import stage_folder
from jaxkd.train import load_study
from jaxkd.training import Evaluation, Stage
from jaxkd.training.stage_folder import read_evaluations, write_evaluations


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the evaluations of each stored run that the workdir has not finished."""
    parser = argparse.ArgumentParser(description="Put the runs that were kept of a study into a workdir.")
    parser.add_argument("kept", type=Path, help="benchmarks/results/STUDY.json")
    parser.add_argument("--config", type=Path, required=True, help="that it ran from")
    parser.add_argument("--workdir", type=Path, required=True, help="of the study")
    given = parser.parse_args(arguments)
    kept = json.loads(given.kept.read_text())
    for stage in load_study(given.config)("full").stages:
        for seed in kept["nats_of_test_answers"].get(stage.name, {}):
            folder = stage_folder(given.workdir, stage, 0 if seed == "all" else int(seed))
            if read_evaluations(folder) is None:
                folder.mkdir(parents=True, exist_ok=True)
                write_evaluations(folder, evaluations(kept, stage, seed))
                write_metrics(folder, kept, stage, seed)
                print(folder)


def evaluations(kept: dict[str, Any], stage: Stage, seed: str) -> dict[str, Evaluation]:
    """Return the stored evaluations of a run; nats to three decimals.

    Args:
        kept: study that `keep_study` wrote.
        stage: stage of the study.
        seed: seed of the run; "all" if the stage has none.
    """
    summary, answers, label = kept["summary"], kept["test_answers"], stage.label or ""
    scores = summary[f"{BITS_PER_BYTE.metric}_by_seed"][label]
    # A stage without seeds is reported at the first one.
    at = next(iter(scores)) if seed == "all" else seed
    found = {
        BITS_PER_BYTE.metric: Evaluation(
            metrics={BITS_PER_BYTE.metric: scores[at]},
            keys=tuple(answers["keys"]),
            per_example={
                "bytes": tuple(map(float, answers["bytes"])),
                "nats": tuple(kept["nats_of_test_answers"][stage.name][seed]),
            },
        )
    }
    metrics: dict[str, dict[str, float]] = {}
    for name, values in summary["other_metrics_by_seed"].items():
        if at in values.get(label, {}):
            evaluator, metric = name.split("/", 1)
            metrics.setdefault(evaluator, {})[metric] = values[label][at]
    columns: dict[str, dict[str, tuple[float, ...]]] = {}
    for name, runs in kept.get("columns", {}).items():
        if seed in runs.get(stage.name, {}):
            evaluator, column = name.split("/", 1)
            columns.setdefault(evaluator, {})[column] = tuple(runs[stage.name][seed])
    for evaluator, values in metrics.items():
        of_answers = columns.get(evaluator, {})
        size = max(map(len, of_answers.values()), default=0)
        keys = tuple(map(str, range(size)))
        found[evaluator] = Evaluation(metrics=values, keys=keys, per_example=of_answers)
    return found


def write_metrics(folder: Path, kept: dict[str, Any], stage: Stage, seed: str) -> None:
    """Write the stored rows of a run's metrics."""
    rows: dict[int, dict[str, float]] = {}
    curves = {f"{VALIDATION}{name}": runs for name, runs in kept.get("curves", {}).items()}
    for name, runs in (curves | kept.get("training", {})).items():
        points = runs.get(stage.name, {}).get(seed, {"steps": (), "values": ()})
        for step, value in zip(points["steps"], points["values"], strict=True):
            rows.setdefault(step, {"step": step})[name] = value
    if rows:
        text = "".join(json.dumps(rows[step]) + "\n" for step in sorted(rows))
        (folder / metric_writer.FILE).write_text(text)


if __name__ == "__main__":
    main()
