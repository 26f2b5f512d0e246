"""Results of a suite: metrics of each task with intervals, chance and counts, and the aggregates over them."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from jaxkd.evals.bootstrap import Interval, mean_interval
from jaxkd.evals.suites.aggregates import Aggregated
from jaxkd.evals.suites.replies import Skipped, reasons
from jaxkd.evals.suites.scores import Scored
from jaxkd.evals.suites.suite import Metric, Suite, Task
from jaxkd.metrics.rouge import resolve_tokens

_ROUNDING = 1e-9
"""Bound on the rounding of a mean of percentages."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetricResult:
    """A metric over the rows of a task, in percent."""

    metric: str
    """Name in aggregates."""
    title: str
    """Name with the choices that the value depends on, such as `rouge_l[char]`."""
    interval: Interval
    """Mean over the rows, and its bootstrap interval."""
    rows: tuple[str, ...]
    """Ids of the rows."""
    values: tuple[float, ...]
    """Value of each row, the mean over its presentations and replies."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PositionBias:
    """Preference for a place among the options, over all rotations of them."""

    letter: str
    """Letter that is chosen most often."""
    interval: Interval
    """Share of the presentations in which it is chosen, in percent."""
    fair: float
    """Share without a preference, in percent."""

    @property
    def found(self) -> bool:
        """Whether the interval lies above the fair share."""
        return self.interval.low > self.fair + _ROUNDING


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskResult:
    """Results of one task."""

    id: str
    name: str
    level: str
    metrics: tuple[MetricResult, ...]
    """Metrics that have a value; none if no row was asked."""
    missing: tuple[str, ...]
    """Metrics that have none: all of a task of which no row was asked, `judge4` without a judge."""
    scored: int
    """Rows that were asked."""
    skipped: dict[str, int]
    """Rows that were not asked, by reason."""
    settings: str
    """Way in which the rows were asked: log-likelihoods, or the settings of the sampling."""
    replies: int
    unparsed: int
    """Replies that the metric cannot read."""
    unrated: int | None
    """Replies without a rating by the judge; None if no judge was asked for one."""
    unended: int
    """Replies that were cut at `max_new_tokens`."""
    chance: float | None
    """Accuracy of a guess, in percent."""
    bias: PositionBias | None = None

    @property
    def above_chance(self) -> bool | None:
        """Whether accuracy is distinguishable from chance; None where there is none."""
        if self.chance is None or not self.metrics:
            return None
        interval = self.metrics[0].interval
        # Every resample of a model that always answers A gives chance, up to the rounding of a mean.
        return not interval.low - _ROUNDING <= self.chance <= interval.high + _ROUNDING


@dataclasses.dataclass(frozen=True, kw_only=True)
class SuiteResult:
    """Results of a model on a suite."""

    suite: str
    version: str
    fingerprint: str
    model: str
    """Provenance of the model and of how it was prompted."""
    judge: str | None
    seed: int
    tasks: tuple[TaskResult, ...]
    aggregates: dict[str, Aggregated]


def summarise(
    suite: Suite,
    scored: Mapping[str, Sequence[Scored]],
    skipped: Sequence[Skipped],
    *,
    model: str,
    judge: str | None,
    seed: int,
) -> SuiteResult:
    """Summarise the scored answers of each task.

    Args:
        suite: the suite.
        scored: scored answers by the id of the task.
        skipped: questions that were not asked.
        model: provenance of the model.
        judge: provenance of the judge, if there is one.
        seed: random seed of the samples and of the bootstrap.
    """
    tasks = tuple(
        _task(
            task,
            scored[task.id],
            [one for one in skipped if one.question.task.id == task.id],
            judged=judge is not None,
            seed=seed,
        )
        for task in suite.tasks
    )
    values = {f"{task.id}.{one.metric}": one.interval.estimate for task in tasks for one in task.metrics}
    return SuiteResult(
        suite=suite.name,
        version=suite.version,
        fingerprint=suite.fingerprint,
        model=model,
        judge=judge,
        seed=seed,
        tasks=tasks,
        aggregates={one.name: one.of(values) for one in suite.aggregates},
    )


def _task(task: Task, scored: Sequence[Scored], skipped: Sequence[Skipped], *, judged: bool, seed: int) -> TaskResult:
    metrics = tuple(found for metric in task.metrics if (found := _metric(task, metric, scored, seed)) is not None)
    asked = {one.answered.question.row.id for one in scored}
    rated = judged and any(metric.name == "judge4" for metric in task.metrics)
    return TaskResult(
        id=task.id,
        name=task.name,
        level=task.level,
        metrics=metrics,
        missing=tuple(one.title for one in task.metrics if one.title not in {found.metric for found in metrics}),
        scored=len(asked),
        skipped=reasons([one for one in skipped if one.question.row.id not in asked and one.question.rotation == 0]),
        settings="the log-likelihood of each option" if task.mode == "loglik" else str(task.sampled),
        replies=len(scored),
        unparsed=sum(not one.parsed for one in scored),
        unrated=sum(one.values["judge4"] is None for one in scored) if rated else None,
        unended=sum(not one.answered.ended for one in scored),
        chance=task.chance,
        bias=_bias(task, scored, seed),
    )


def _by_row(pairs: Sequence[tuple[str, float]]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Mean of the values of each row."""
    rows: dict[str, list[float]] = {}
    for key, value in pairs:
        rows.setdefault(key, []).append(value)
    return tuple(rows), tuple(sum(values) / len(values) for values in rows.values())


def _metric(task: Task, metric: Metric, scored: Sequence[Scored], seed: int) -> MetricResult | None:
    pairs = [(one.answered.question.row.id, value) for one in scored if (value := one.values[metric.title]) is not None]
    if not pairs:
        return None
    rows, values = _by_row(pairs)
    title = metric.title
    if metric.name == "rouge_l":
        title = f"rouge_l[{resolve_tokens(task.references, tokens=metric.tokens)}]"
    return MetricResult(
        metric=metric.title,
        title=title,
        interval=mean_interval(np.array(values), seed=seed),
        rows=rows,
        values=values,
    )


def _bias(task: Task, scored: Sequence[Scored], seed: int) -> PositionBias | None:
    """Find the place that is chosen most often; each row is asked with its right option at every place."""
    if task.rotations != "all" or not scored:
        return None
    places = max(len(row.options) for row in task.rows)
    shares = [
        _by_row([(one.answered.question.row.id, 100.0 * (one.chosen == place)) for one in scored])[1]
        for place in range(places)
    ]
    most = max(range(places), key=lambda place: sum(shares[place]))
    return PositionBias(
        letter=chr(ord("A") + most),
        interval=mean_interval(np.array(shares[most]), seed=seed),
        fair=task.chance or 0.0,
    )


def paired_difference(first: MetricResult | None, second: MetricResult | None, *, seed: int = 0) -> Interval | None:
    """Mean difference of a metric on the rows that two models answered, and its paired bootstrap interval.

    Args:
        first: result of the one model.
        second: result of the other on the same task.
        seed: random seed of the resampling.

    Returns:
        None if there is no common row.
    """
    if first is None or second is None:
        return None
    others = dict(zip(second.rows, second.values, strict=True))
    shared = [(value, others[row]) for row, value in zip(first.rows, first.values, strict=True) if row in others]
    if not shared:
        return None
    values = np.array(shared)
    return mean_interval(values[:, 0] - values[:, 1], seed=seed)
