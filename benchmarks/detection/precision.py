"""Average precision of the models of a finished study, and differences between them, as rows."""

from collections.abc import Iterator, Sequence

from benchmarks.row import Row
from jaxkd.evals.detection_comparison import average_precision_interval, paired_average_precision
from jaxkd.metrics import ImageMatches
from jaxkd.training.results.evaluation import Evaluation

METRIC = "ap50"
"""Average precision at an IoU of 0.5, by which the models are compared."""


def precision(figure: str, evaluations: Sequence[Evaluation], *, condition: str = "") -> Row:
    """Return the row of a model's average precision in images of a condition, over all seeds."""
    interval = average_precision_interval(_matches(evaluations, condition), metric=METRIC)
    samples = tuple(one.metrics[f"{METRIC}_{condition}" if condition else METRIC] for one in evaluations)
    return Row(figure=figure, value=interval.estimate, unit="", samples=samples, interval=(interval.low, interval.high))


def difference(
    figure: str, first: Sequence[Evaluation], second: Sequence[Evaluation], *, condition: str = ""
) -> tuple[Row, Row, Row]:
    """Return rows of a difference in average precision, of its lower end, and of how likely it is above 0."""
    interval = paired_average_precision(_matches(first, condition), _matches(second, condition), metric=METRIC)
    return (
        Row(figure=figure, value=interval.estimate, unit="AP50", interval=(interval.low, interval.high)),
        Row(figure=f"{figure}, lower end of the interval", value=interval.low, unit="AP50"),
        Row(figure=f"{figure}, share of resamples above 0", value=interval.positive, unit=""),
    )


def by_condition(name: str, evaluations: Sequence[Evaluation], conditions: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of a model's average precision in all images and by condition."""
    yield precision(f"{name}: AP50", evaluations)
    for condition in conditions:
        yield precision(f"{name}: AP50, {condition}", evaluations, condition=condition)


def _matches(evaluations: Sequence[Evaluation], condition: str) -> list[list[ImageMatches]]:
    # Keys of `ThermalScenes` end with the condition.
    places = [place for place, key in enumerate(evaluations[0].keys) if key.endswith(condition)]
    return [[one.matches[place].matches() for place in places] for one in evaluations]
