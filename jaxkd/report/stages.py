"""What a report is made of: the stages of a study as plain data, and the models that they add up to."""

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence

from jaxkd.evals.evaluator import Sample

HEADLINE = "bits_per_byte"
"""The metric by which models are compared."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageReport:
    """What one stage, at one seed, leaves for the report.

    Raises:
        ValueError: a row of `history` without its step.
    """

    name: str
    label: str
    """Of the model; stages of one label are its training seeds."""
    metrics: Mapping[str, float]
    history: Sequence[Mapping[str, float]] = ()
    """Rows of metrics.jsonl; empty for a model that was not trained here."""
    samples: tuple[Sample, ...] = ()
    provenance: str = ""
    seed: int | None = None

    def __post_init__(self) -> None:
        for number, row in enumerate(self.history):
            if "step" not in row:
                raise ValueError(f"history must have 'step' in each row, got {dict(row)} in row {number} of {self.name}.")

    def series(self, name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Steps and values of one metric, leaving out rows where it is missing or not finite."""
        rows = [row for row in self.history if math.isfinite(row.get(name, math.nan))]
        return tuple(float(row["step"]) for row in rows), tuple(float(row[name]) for row in rows)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """The stages of one label, and the colour that the whole page gives it."""

    label: str
    color: int | None
    stages: tuple[StageReport, ...]

    def values(self, name: str = HEADLINE) -> tuple[float, ...]:
        found = (stage.metrics.get(name, math.nan) for stage in self.stages)
        return tuple(value for value in found if math.isfinite(value))

    def mean(self, name: str = HEADLINE) -> float | None:
        values = self.values(name)
        return statistics.fmean(values) if values else None

    def css_color(self) -> str:
        return "var(--series-neutral)" if self.color is None else f"var(--series-{self.color % len(figures.PALETTE)})"


def by_label(stages: Sequence[StageReport]) -> list[Model]:
    """Stages by label.  Models that were trained get the colours; the others are context, in grey."""
    if not stages:
        raise ValueError("stages must hold at least one StageReport, got none. Run a stage that has a label first.")
    by_label: dict[str, list[StageReport]] = {}
    for stage in stages:
        by_label.setdefault(stage.label, []).append(stage)
    trained = [label for label, found in by_label.items() if any(stage.history for stage in found)]
    return [
        Model(label=label, color=trained.index(label) if label in trained else None, stages=tuple(found))
        for label, found in by_label.items()
    ]


def best(models: Sequence[Model]) -> Model | None:
    """The lowest figure among the models that were trained: a teacher is no contestant."""
    scored = [model for model in models if model.color is not None and model.values()]
    return min(scored, key=lambda model: model.mean() or 0.0) if len(scored) > 1 else None
