"""Panels of curves over training steps, for the page of a study."""

import dataclasses
from collections.abc import Sequence
from typing import TypeAlias

from jaxkd.evals.headline import Headline
from jaxkd.report import figures, svg
from jaxkd.report.stages import Model, all_curves

_Quantity: TypeAlias = tuple[str, str, str, figures.Size]
"""A metric, the title of its panel, its unit, and the panel's size."""

_LEARNING_RATE: _Quantity = ("learning_rate", "Learning rate", "", "strip")

_LOGGED = "train/"
"""Prefix of the metrics that a method logs, and the loop beside them."""

_OF_THE_LOOP = ("train/loss", "train/grad_norm")
"""Not compared: each method has a loss of its own."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Panel:
    """One metric of all models over steps."""

    title: str
    note: str
    svg: str
    narrow: str
    """The drawing for a narrow screen; empty if `svg` fits one."""
    size: figures.Size
    smoothed: bool
    """Whether a running mean is drawn over the values."""


def panels(models: Sequence[Model], headline: Headline) -> list[Panel]:
    """Draw each metric that at least one method logged more than once, the headline on the validation split first.

    One that is 0 throughout, such as the share of forecasts that diverged, is left out.

    Methods name their metrics (`StageReport.curves`); one without a title is titled by its name.

    Args:
        models: models in the order of the table.
        headline: figure by which the models are compared.
    """
    validation: _Quantity = (f"validation/{headline.metric}", "Validation split", headline.unit, "wide")
    quantities = (validation, *_of_the_methods(models), _LEARNING_RATE)
    logged = {name: _curves(models, name) for name, *_ in quantities}
    drawn = {
        name: curves
        for name, curves in logged.items()
        if any(len(curve.values) > 1 for curve in curves) and any(any(curve.values) for curve in curves)
    }
    # A panel without a neighbour takes the whole row, and so does one with many names beside it.
    alone = sum(name in drawn for name, _, _, size in quantities if size == "half") == 1
    crowded = any(len({curve.label for curve in curves}) > len(svg.PALETTE) for curves in drawn.values())
    return [
        _panel(drawn[name], title, unit, "wide" if (alone or crowded) and size == "half" else size)
        for name, title, unit, size in quantities
        if name in drawn
    ]


def _of_the_methods(models: Sequence[Model]) -> list[_Quantity]:
    """Return the metrics that have a title, and behind them those without, in the order of their first rows."""
    curves = {f"{_LOGGED}{curve.metric}": curve for curve in all_curves(models)}
    titled: list[_Quantity] = [(name, curve.title, curve.unit, "half") for name, curve in curves.items() if curve.title]
    known = {name for name, *_ in titled} | set(_OF_THE_LOOP)
    logged = dict.fromkeys(name for model in models for stage in model.stages for row in stage.history for name in row)
    units = {name: curve.unit for name, curve in curves.items()}
    return titled + [
        (name, name.removeprefix(_LOGGED).replace("_", " ").capitalize(), units.get(name, ""), "half")
        for name in logged
        if name.startswith(_LOGGED) and name not in known
    ]


def _panel(curves: list[figures.Line], title: str, unit: str, size: figures.Size) -> Panel:
    notes = [unit] if unit else []
    smoothed = any(len(curve.values) >= figures.SMOOTHED_FROM for curve in curves)
    if figures.is_logarithmic(curves):
        notes.append("log axis")
    several = len({curve.label for curve in curves}) > 1
    if several and len({(curve.steps, curve.values) for curve in curves}) == 1:
        # All models share one schedule: draw a single line without a name.
        curves = [dataclasses.replace(curves[0], label="", color=None)]
        notes.append("the same for all")
    description = f"{title} by step"
    return Panel(
        title=title,
        note=", ".join(notes),
        svg=figures.lines(curves, description=description, size=size),
        narrow="" if size == "half" else figures.lines(curves, description=description, size="half"),
        size=size,
        smoothed=smoothed,
    )


def _curves(models: Sequence[Model], name: str) -> list[figures.Line]:
    """Return one curve for each seed that logged the metric."""
    found = [(model, *stage.series(name)) for model in models for stage in model.stages]
    return [
        figures.Line(label=model.label, color=model.color, steps=steps, values=values)
        for model, steps, values in found
        if steps
    ]
