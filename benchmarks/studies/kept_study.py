"""What a kept study says of its rows, and Markdown of it."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

NOTHING = "–"
"""In a cell without a figure."""


def rows(kept: Mapping[str, Any]) -> list[str]:
    """Labels, in the order of the study."""
    return list(kept["summary"]["bits_per_byte_by_seed"])


def measured(kept: Mapping[str, Any], metric: str, row: str) -> dict[str, float]:
    """A metric of the finished model, by seed; empty where it was not measured.

    Args:
        kept: what `keep_study` wrote.
        metric: EVALUATOR/METRIC.
        row: its label.
    """
    return dict(kept["summary"]["other_metrics_by_seed"].get(metric, {}).get(row, {}))


def by_step(
    kept: Mapping[str, Any], part: Literal["curves", "training"], metric: str, row: str
) -> dict[str, dict[int, float]]:
    """A metric of validation or of training, by seed and step; empty where it was not kept."""
    runs = kept.get(part, {}).get(metric, {}).get(_stage(row), {})
    return {seed: dict(zip(points["steps"], points["values"], strict=True)) for seed, points in runs.items()}


def by_answer(kept: Mapping[str, Any], figure: str, row: str) -> dict[str, list[float]]:
    """What an evaluator measured of each answer, by seed; empty where it was not kept.

    Args:
        kept: what `keep_study` wrote.
        figure: EVALUATOR/COLUMN.
        row: its label.
    """
    return dict(kept["columns"].get(figure, {}).get(_stage(row), {}))


def mean(values: Mapping[str, float]) -> float | None:
    """Over the seeds there are."""
    return statistics.fmean(values.values()) if values else None


def percent(value: float | None) -> str:
    """A share as a cell."""
    return NOTHING if value is None else f"{100 * value:.1f} %"


def markdown(columns: Sequence[str], cells: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [columns, ["---"] * len(columns), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines).replace("| --- ", "|---").replace("--- |", "---|")


def _stage(row: str) -> str:
    """Of a row's label the name of its stage, in which dots are underscores."""
    return row.replace(".", "_")
