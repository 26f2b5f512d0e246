"""Rows of the tables of a suite's report: each metric of each task, with the values of every model."""

import dataclasses
from collections.abc import Sequence

from jaxkd.evals.bootstrap import Interval
from jaxkd.evals.suites.results import MetricResult, SuiteResult, TaskResult, paired_difference

NOT_APPLICABLE = "n/a"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportRow:
    """One metric of a task: a result per model, None where it is not applicable."""

    task: TaskResult
    title: str
    results: tuple[MetricResult | None, ...]
    tasks: tuple[TaskResult, ...]
    """The task of each model."""
    differences: tuple[Interval | None, ...]
    """Difference of the first model to each later one, on the rows that both answered."""

    @property
    def chance(self) -> float | None:
        """Accuracy of a guess in percent, for metrics that have one."""
        return self.task.chance if self.title.startswith("accuracy") else None


def report_rows(results: Sequence[SuiteResult]) -> list[ReportRow]:
    """Return a row for each metric that a task of the suite has.

    Args:
        results: results of one suite, a model each.

    Raises:
        ValueError: results of different suites, or of versions with different tasks.
    """
    names = {result.suite for result in results}
    if len(names) != 1:
        raise ValueError(f"results must be of one suite, got those of {', '.join(sorted(names)) or 'none'}.")
    tasks = {tuple(task.id for task in result.tasks) for result in results}
    if len(tasks) != 1:
        versions = ", ".join(f"{result.suite} {result.version}" for result in results)
        raise ValueError(f"results must have the same tasks, got those of {versions}. Evaluate again.")
    found = []
    for tasks in zip(*(result.tasks for result in results), strict=True):
        names = [name for task in tasks for name in (*(one.metric for one in task.metrics), *task.missing)]
        for metric in dict.fromkeys(names):
            values = tuple(next((one for one in task.metrics if one.metric == metric), None) for task in tasks)
            found.append(
                ReportRow(
                    task=tasks[0],
                    title=next((one.title for one in values if one is not None), metric),
                    results=values,
                    tasks=tasks,
                    differences=tuple(paired_difference(values[0], other) for other in values[1:]),
                )
            )
    return found


def cell(result: MetricResult | None) -> str:
    """Format a value and its interval, in percent."""
    if result is None:
        return NOT_APPLICABLE
    interval = result.interval
    return f"{interval.estimate:.1f} ({interval.low:.1f} to {interval.high:.1f})"


def difference(interval: Interval | None) -> str:
    """Format a paired difference, in percentage points."""
    if interval is None:
        return NOT_APPLICABLE
    return f"{interval.estimate:+.1f} ({interval.low:+.1f} to {interval.high:+.1f})".replace("-", "\N{MINUS SIGN}")


def remarks(results: Sequence[SuiteResult], labels: Sequence[str]) -> dict[str, list[str]]:
    """Return what a reader must know beside the values, and the tasks, and models if there are several, it holds of."""
    found: dict[str, list[str]] = {}
    for label, result in zip(labels, results, strict=True):
        for task in result.tasks:
            for remark in _remarks(task):
                found.setdefault(remark, []).append(task.id if len(labels) == 1 else f"{task.id} ({label})")
    for row in report_rows(results):
        for label, interval in zip(labels[1:], row.differences, strict=True):
            if interval is not None and not interval.excludes_zero:
                found.setdefault(f"no distinguishable difference to {label}", []).append(f"{row.task.id} {row.title}")
    return found


def _remarks(task: TaskResult) -> list[str]:
    found = []
    if task.above_chance is False:
        found.append("not distinguishable from chance")
    if task.bias is not None and task.bias.found:
        found.append(f"prefers {task.bias.letter}: {task.bias.interval.estimate:.0f} % of its choices")
    found += [f"{count} rows skipped: {reason}" for reason, count in task.skipped.items()]
    if task.scored:
        found.append(f"asked for {task.settings}")
    if task.scored and task.missing:
        found.append(f"{', '.join(task.missing)} needs a judge")
    for count, text in (
        (task.unparsed, "replies without an answer"),
        (task.unrated, "replies without a rating"),
        (task.unended, "replies cut at their limit"),
    ):
        if count:
            found.append(f"{count} of {task.replies} {text}")
    return found
