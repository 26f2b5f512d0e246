"""Figures of the rows of a stored study, and Markdown of them."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

NOTHING = "–"
"""Content of a cell without a figure."""


def rows(kept: Mapping[str, Any]) -> list[str]:
    """Return the labels, in the order of the study."""
    return list(kept["summary"]["bits_per_byte_by_seed"])


def measured(kept: Mapping[str, Any], metric: str, row: str) -> dict[str, float]:
    """Return a metric of the finished model, by seed; empty if it was not measured.

    Args:
        kept: study that `keep_study` wrote.
        metric: EVALUATOR/METRIC.
        row: label of the row.
    """
    return dict(kept["summary"]["other_metrics_by_seed"].get(metric, {}).get(row, {}))


def by_step(
    kept: Mapping[str, Any], part: Literal["curves", "training"], metric: str, row: str
) -> dict[str, dict[int, float]]:
    """Return a metric of validation or of training, by seed and step; empty if it was not stored."""
    runs = kept.get(part, {}).get(metric, {}).get(_stage(row), {})
    return {seed: dict(zip(points["steps"], points["values"], strict=True)) for seed, points in runs.items()}


def by_answer(kept: Mapping[str, Any], figure: str, row: str) -> dict[str, list[float]]:
    """Return an evaluator's figure of each answer, by seed; empty if it was not stored.

    Args:
        kept: study that `keep_study` wrote.
        figure: EVALUATOR/COLUMN.
        row: label of the row.
    """
    return dict(kept["columns"].get(figure, {}).get(_stage(row), {}))


def mean(values: Mapping[str, float]) -> float | None:
    """Return the mean over the seeds; None without seeds."""
    return statistics.fmean(values.values()) if values else None


def percent(value: float | None) -> str:
    """Format a share as a cell."""
    return NOTHING if value is None else f"{100 * value:.1f} %"


def markdown(columns: Sequence[str], cells: Iterable[Sequence[str]]) -> str:
    """Format a table."""
    lines = [columns, ["---"] * len(columns), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines).replace("| --- ", "|---").replace("--- |", "---|")


def _stage(row: str) -> str:
    """Return the name of a row's stage: its label, with underscores for dots."""
    return row.replace(".", "_")
