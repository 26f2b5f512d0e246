"""Text of table cells; a dash stands for a missing value."""

import math
import statistics
from collections.abc import Callable, Sequence
from typing import TypeAlias

from jaxkd.report.stages import Model, StageReport
from jaxkd.training.evaluator import Column
from jaxkd.training.recipe import Count
from jaxkd.training.train_step import COUNT_PREFIX

NOTHING = "–"

Cells: TypeAlias = tuple[str, Callable[[Model], str]]
"""Name of a column, and the function that formats its cell for a model."""


def headline(model: Model) -> str:
    """Format the figure by which models are compared."""
    return number(model.mean())


def named(columns: Sequence[Column]) -> list[Cells]:
    """Return the cells of the columns that evaluators ask for.

    Args:
        columns: columns of `StageReport.metrics`.
    """
    return [(one.name, lambda model, metric=one.metric: number(model.mean(metric))) for one in columns]


def trained_on(counts: Sequence[Count]) -> list[Cells]:
    """Return cells with what one seed was trained on; a step that was not logged counts as the mean step.

    Args:
        counts: what the methods' steps count.
    """
    return [(one.column, lambda model, one=one: _trained_on(model, one)) for one in counts]


def filled(columns: Sequence[Cells], models: Sequence[Model]) -> list[Cells]:
    """Return the columns in which at least one model has a value."""
    return [(name, cell) for name, cell in columns if any(cell(model) != NOTHING for model in models)]


def metric_name(evaluator: str, metric: str) -> str:
    """Return the name of an evaluator's metric, which is the evaluator's if both have one name.

    Example:
        >>> metric_name("bits_per_byte", "bits_per_byte"), metric_name("samples", "new_tokens")
        ('bits_per_byte', 'samples/new_tokens')
    """
    return metric if metric == evaluator else f"{evaluator}/{metric}"


def number(value: float | None) -> str:
    """Format with three decimals, with three digits if the value is small, or without decimals if it is a count."""
    if value is None:
        return NOTHING
    if not math.isfinite(value):
        return "not finite"
    if float(value).is_integer() and abs(value) >= 10:
        return f"{value:,.0f}"
    return f"{value:#.3g}" if 0 < abs(value) < 0.1 else f"{value:.3f}"


def seeds(model: Model) -> str:
    """Format the headline figure of each seed if there are several."""
    values = model.values()
    return "  ".join(number(value) for value in values) if len(values) > 1 else NOTHING


def method(model: Model) -> str:
    """Format the methods that trained the model."""
    return ", ".join(dict.fromkeys(stage.method for stage in model.stages if stage.method)) or NOTHING


def steps(model: Model) -> str:
    """Format the number of optimizer steps of one seed."""
    last = [int(stage.history[-1]["step"]) for stage in model.stages if stage.history]
    return f"{max(last):,}" if last else NOTHING


def training_time(model: Model) -> str:
    """Format one seed's median step time times its steps, which leaves out compilation and validation."""
    totals = _totals(model.stages, "seconds", statistics.median)
    return duration(statistics.fmean(totals)) if totals else NOTHING


def duration(seconds: float) -> str:
    """Format a duration in its two largest units among hours, minutes and seconds.

    Example:
        >>> duration(200.4)
        '3 min 20 s'
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _trained_on(model: Model, count: Count) -> str:
    stages = [stage for stage in model.stages if stage.counted == count]
    totals = _totals(stages, f"{COUNT_PREFIX}{count.name}", statistics.fmean)
    return f"{statistics.fmean(totals):,.0f}" if totals else NOTHING


def _totals(stages: Sequence[StageReport], name: str, average: Callable[[Sequence[float]], float]) -> list[float]:
    """Return the average value of a step times the number of steps, for each seed."""
    series = [stage.series(name) for stage in stages]
    return [average(values) * last_steps[-1] for last_steps, values in series if values]
