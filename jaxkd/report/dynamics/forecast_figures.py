"""Figures of records with the models' forecasts from their first states."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from jaxkd.report import panels, svg
from jaxkd.report.scale import Scale
from jaxkd.report.stages import Model
from jaxkd.training.results.forecast import Forecast

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STATES = 6
"""Maximum number of states that are drawn."""

_STACK = 6.0
"""Width in inches of the panels over time beside a phase portrait."""
_PHASE = 3.4
"""Maximum height of that portrait in inches."""
_HEIGHTS = {1: 2.2, 2: 1.4, 3: 1.0}
"""Height of a panel in inches, by the number of states."""
_LOW = 0.8
"""Height of a panel in inches if there are more states."""


def forecast(of: Sequence[tuple[Model, Forecast]]) -> str:
    """Draw a record over time with a panel per state and a curve per model, and the phase portrait of two states.

    Args:
        of: models with their forecasts of the record.
    """
    _, record = of[0]
    names = record.names[:STATES]
    measured = rows(record.measured, record)
    curves = [(model, np.array(one.times), rows(one.forecast, one)) for model, one in of]
    scales = [
        Scale.over(measured[:, state], *(curve[:, state] for _, _, curve in curves)) for state in range(len(names))
    ]
    keys = [panels.LegendEntry(kind="dot", label="measured", color=svg.MUTED), *(key(model, one) for model, one in of)]
    figure, each, time = panels.stack(
        len(names),
        np.array(record.times),
        height=_HEIGHTS.get(len(names), _LOW),
        name="time",
        width=_STACK if len(names) > 1 else panels.WIDTH,
        keys=keys,
    )
    shown = slice(None, None, panels.stride(len(measured), panels.DOTS))
    at, dots = time.of(np.array(record.times))[shown], measured[shown]
    for state, (name, axes, scale) in enumerate(zip(names, each, scales, strict=True)):
        scale.on_y(axes)
        panels.title(axes, scale.label(name, ""), color=svg.INK)
        for model, times, curve in curves:
            fine = slice(None, len(curve), panels.stride(len(curve), panels.POINTS))
            draw(axes, model, time.of(times[fine]), scale.of(curve[fine, state]))
        panels.dots(axes, at, scale.of(dots[:, state]), color=svg.MUTED)
    if len(names) > 1:
        axes, (across, up) = panels.beside(figure, each, height=_PHASE), scales[:2]
        across.on_x(axes, ticks=4)
        up.on_y(axes, ticks=8)
        panels.x_label(axes, across.label(names[0], ""))
        panels.title(axes, up.label(names[1], ""), color=svg.INK)
        for model, _, curve in curves:
            draw(axes, model, across.of(curve[:, 0]), up.of(curve[:, 1]))
        panels.dots(axes, across.of(dots[:, 0]), up.of(dots[:, 1]), color=svg.MUTED)
    said = ", ".join(key.label for key in keys)
    return svg.element(figure, f"{', '.join(names)} of {record.key}: {said}")


def rows(values: Sequence[Sequence[float]], record: Forecast) -> Float[np.ndarray, "times states"]:
    """Return states as an array, which is empty if the simulation diverged at once.

    Args:
        values: states of the record or of its forecast.
        record: record that names the states.
    """
    return np.array(values, np.float64).reshape(len(values), len(record.names))


def key(model: Model, one: Forecast) -> panels.LegendEntry:
    """Return the legend entry of a model, which states where its forecast diverges.

    Args:
        model: model that made the forecast.
        one: forecast of the record.
    """
    label, length = model.label, len(one.forecast)
    if length < len(one.times):
        label += f", diverges at {one.times[length]:.4g}" if length else ", no forecast"
    return panels.LegendEntry(kind="line", label=label, color=svg.color(model.color), dash=svg.dash(model.color))


def draw(axes: "Axes", model: Model, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> None:
    """Draw a curve in the model's colour and line style."""
    axes.plot(x, y, color=svg.color(model.color), linestyle=svg.dash(model.color), linewidth=1.5)
