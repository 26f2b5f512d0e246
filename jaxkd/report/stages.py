"""What a report is made of: the stages of a study as plain data, and the models that they add up to."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from jaxkd.evals.headline import Headline
from jaxkd.training.evaluator import Forecast, Sample


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
    forecasts: tuple[Forecast, ...] = ()
    provenance: str = ""
    seed: int | None = None

    def __post_init__(self) -> None:
        for number, row in enumerate(self.history):
            if "step" not in row:
                raise ValueError(
                    f"history must have 'step' in each row, got {dict(row)} in row {number} of {self.name!r}."
                )

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
    headline: Headline

    def values(self, name: str | None = None) -> tuple[float, ...]:
        """One value a seed, of the headline or of another metric, where it was measured."""
        name = self.headline.metric if name is None else name
        return tuple(stage.metrics[name] for stage in self.stages if name in stage.metrics)

    def mean(self, name: str | None = None) -> float | None:
        """Over the seeds; None where nothing was measured, and not finite where one seed is not."""
        values = self.values(name)
        return sum(values) / len(values) if values else None

    def is_scored(self) -> bool:
        """Whether there is a headline figure to draw and to rank."""
        mean = self.mean()
        return mean is not None and math.isfinite(mean)


def by_label(stages: Sequence[StageReport], headline: Headline) -> list[Model]:
    """Stages by label.  Models that were trained get the colours; the others are context and get none.

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


def best(models: Sequence[Model]) -> Model | None:
    """The lowest figure among the models that were trained, where several were: a teacher is no contestant."""
    trained = [model for model in models if model.color is not None and model.is_scored()]
    return min(trained, key=lambda model: model.mean() or 0.0) if len(trained) > 1 else None
