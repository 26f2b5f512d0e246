"""Inputs of a report: the stages of a study as plain data, grouped into models."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from jaxkd.evals.headline import Headline
from jaxkd.evals.language.shared_end import SharedEnd
from jaxkd.training.evaluator import Column
from jaxkd.training.recipe import Count, Curve
from jaxkd.training.results.evaluation import LearntEquation, Sample
from jaxkd.training.results.forecast import Forecast
from jaxkd.training.results.picture import Picture


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageReport:
    """Results of one stage at one seed.

    Raises:
        ValueError: a row of `history` without a step.
    """

    name: str
    label: str
    """Name of the model; stages with the same label are its training seeds."""
    metrics: Mapping[str, float]
    method: str = ""
    """Name of the method that trained it; empty for a model that the study did not train."""
    history: Sequence[Mapping[str, float]] = ()
    """Rows of metrics.jsonl; empty for a model that the study did not train."""
    samples: tuple[Sample, ...] = ()
    shared_ends: Mapping[str, SharedEnd] = dataclasses.field(default_factory=dict)
    """End that many of its answers share, by evaluator, marked in the samples."""
    forecasts: tuple[Forecast, ...] = ()
    equations: tuple[LearntEquation, ...] = ()
    pictures: tuple[Picture, ...] = ()
    curves: tuple[Curve, ...] = ()
    """Names of the metrics that its method logs."""
    counted: Count | None = None
    """Unit in which its method measures speed and data."""
    columns: tuple[Column, ...] = ()
    """Columns that its evaluators ask for, by the names in `metrics`."""
    provenance: str = ""
    seed: int | None = None

    def __post_init__(self) -> None:
        for number, row in enumerate(self.history):
            if "step" not in row:
                raise ValueError(
                    f"history must have 'step' in each row, got {dict(row)} in row {number} of {self.name!r}."
                )

    def series(self, name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the steps and values of one metric, without rows where it is missing or not finite."""
        rows = [row for row in self.history if math.isfinite(row.get(name, math.nan))]
        return tuple(float(row["step"]) for row in rows), tuple(float(row[name]) for row in rows)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """Stages with the same label, and their colour on the whole page."""

    label: str
    color: int | None
    stages: tuple[StageReport, ...]
    headline: Headline

    def values(self, name: str | None = None) -> tuple[float, ...]:
        """Return one value per seed that measured the metric; None is the headline's metric."""
        name = self.headline.metric if name is None else name
        return tuple(stage.metrics[name] for stage in self.stages if name in stage.metrics)

    def mean(self, name: str | None = None) -> float | None:
        """Return the mean over seeds: None if no seed measured the metric, not finite if one seed's value is not."""
        values = self.values(name)
        return sum(values) / len(values) if values else None

    def is_scored(self) -> bool:
        """Whether the headline figure exists and is finite."""
        mean = self.mean()
        return mean is not None and math.isfinite(mean)


def by_label(stages: Sequence[StageReport], headline: Headline) -> list[Model]:
    """Group stages by label.  Only models that were trained get a colour; the others are context.

    Raises:
        ValueError: no stages.
    """
    if not stages:
        raise ValueError("stages must hold at least one StageReport, got none. Run a stage that has a label first.")
    found: dict[str, list[StageReport]] = {}
    for stage in stages:
        found.setdefault(stage.label, []).append(stage)
    trained = [label for label, members in found.items() if any(stage.history for stage in members)]
    return [
        Model(
            label=label,
            color=trained.index(label) if label in trained else None,
            stages=tuple(members),
            headline=headline,
        )
        for label, members in found.items()
    ]


def all_curves(models: Sequence[Model]) -> list[Curve]:
    """Return the names of the metrics that methods log, in the order of the models; a metric has its first name."""
    found: dict[str, Curve] = {}
    for stage in _stages(models):
        for one in stage.curves:
            found.setdefault(one.metric, one)
    return list(found.values())


def all_columns(models: Sequence[Model]) -> list[Column]:
    """Return the columns that evaluators ask for, in the order of the models; a metric has its first name."""
    found: dict[str, Column] = {}
    for stage in _stages(models):
        for one in stage.columns:
            found.setdefault(one.metric, one)
    return list(found.values())


def all_counts(models: Sequence[Model]) -> list[Count]:
    """Return the counts of the methods, in the order of the models; a column's head stands once."""
    return list({stage.counted.column: stage.counted for stage in _stages(models) if stage.counted}.values())


def _stages(models: Sequence[Model]) -> list[StageReport]:
    return [stage for model in models for stage in model.stages]


def best(models: Sequence[Model]) -> Model | None:
    """Return the trained model with the best figure of its headline, or None unless several models were trained."""
    trained = [model for model in models if model.color is not None and model.is_scored()]
    if len(trained) < 2:
        return None
    extreme = min if trained[0].headline.better == "lower" else max
    return extreme(trained, key=lambda model: model.mean() or 0.0)
