"""Trials of each method, and the best one, from the stored tuning study.

python -m benchmarks.laboratory.tuned benchmarks/results/laboratory_tuning.json
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.laboratory.trials import TRIALS, TUNING_SEED
from benchmarks.studies.kept_study import NOTHING, by_step, markdown


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the best validation of each trial as Markdown, the lowest one of a method in bold."""
    parser = argparse.ArgumentParser(description="Which trial is the best one of each method.")
    parser.add_argument("kept", type=Path, help="benchmarks/results/laboratory_tuning.json")
    print(table(json.loads(parser.parse_args(arguments).kept.read_text())))


def table(kept: Mapping[str, Any]) -> str:
    """Return a row for each method: the lowest bits per byte of validation of each trial."""
    heads = [
        f"{trial.learning_rate:g}, {trial.steps} steps, weight {trial.kd_rate:g}, projectors {trial.projector_rate:g}"
        for trial in TRIALS
    ]
    return markdown(("method", *heads), [(f"`{method}`", *_cells(found)) for method, found in best(kept).items()])


def best(kept: Mapping[str, Any]) -> dict[str, dict[int, float]]:
    """Return the lowest bits per byte of validation by method and trial, of those that ran."""
    found: dict[str, dict[int, float]] = {}
    for stage in kept["curves"].get("bits_per_byte", {}):
        method, _, number = stage.rpartition("_")
        points = by_step(kept, "curves", "bits_per_byte", stage).get(str(TUNING_SEED))
        if points:
            found.setdefault(method, {})[int(number)] = min(points.values())
    return found


def _cells(found: Mapping[int, float]) -> list[str]:
    lowest = min(found.values())
    texts = {number: f"**{value:.3f}**" if value == lowest else f"{value:.3f}" for number, value in found.items()}
    return [texts.get(number, NOTHING) for number in range(len(TRIALS))]


if __name__ == "__main__":
    main()
