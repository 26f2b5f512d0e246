"""Figures as the few characters of a table cell; a dash where there is none."""

import math
import statistics

from jaxkd.report.stages import Model


def number(value: float | None) -> str:
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "not finite"
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) >= 10 else f"{value:.3f}"


def seeds(model: Model) -> str:
    values = model.values()
    return "  ".join(f"{value:.3f}" for value in values) if len(values) > 1 else "–"


def steps(model: Model) -> str:
    steps = [int(stage.history[-1]["step"]) for stage in model.stages if stage.history]
    return f"{max(steps):,}" if steps else "–"


def trained_tokens(model: Model) -> str:
    """Of one seed.  Rows that were not logged are taken to hold the mean of those that were."""
    totals = [
        statistics.fmean(values) * steps[-1]
        for stage in model.stages
        for steps, values in [stage.series("targets")]
        if steps
    ]
    return f"{statistics.fmean(totals):,.0f}" if totals else "–"


def training_time(model: Model) -> str:
    """Of one seed: the median step times the steps, so that compiling and validating do not count."""
    totals = [
        statistics.median(values) * steps[-1]
        for stage in model.stages
        for steps, values in [stage.series("seconds")]
        if steps
    ]
    return duration(statistics.fmean(totals)) if totals else "–"


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
