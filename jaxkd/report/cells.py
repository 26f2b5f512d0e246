"""Text of table cells; a dash stands for a missing value."""

import math
import statistics
from collections.abc import Callable, Sequence
from typing import TypeAlias

from jaxkd.report.stages import Model

NOTHING = "–"

Column: TypeAlias = tuple[str, Callable[[Model], str]]
"""Name of a column, and the function that formats its cell for a model."""

OTHER_METRICS = (
    ("agreement", "reference_kl/agreement"),
    ("KL to teacher", "reference_kl/kl"),
    ("aligned", "aligned_teacher/coverage"),
    ("agreement there", "aligned_teacher/agreement"),
    ("error of the field", "field_error/field_error"),
)
"""Columns for metrics of evaluators other than the headline's: name and metric."""


def headline(model: Model) -> str:
    """Format the figure by which models are compared."""
    return number(model.mean())


def others() -> list[Column]:
    """Return the columns of `OTHER_METRICS`."""
    return [(name, lambda model, key=key: number(model.mean(key))) for name, key in OTHER_METRICS]


def filled(columns: Sequence[Column], models: Sequence[Model]) -> list[Column]:
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


def trained_tokens(model: Model) -> str:
    """Format the answer tokens that one seed was trained on; a step that was not logged counts as the mean step."""
    totals = _totals(model, "count/targets", statistics.fmean)
    return f"{statistics.fmean(totals):,.0f}" if totals else NOTHING


def training_time(model: Model) -> str:
    """Format one seed's median step time times its steps, which leaves out compilation and validation."""
    totals = _totals(model, "seconds", statistics.median)
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


def _totals(model: Model, name: str, average: Callable[[Sequence[float]], float]) -> list[float]:
    """Return the average value of a step times the number of steps, for each seed."""
    series = [stage.series(name) for stage in model.stages]
    return [average(values) * last_steps[-1] for last_steps, values in series if values]
