"""Figures of records of one quantity at many locations, with the models' forecasts from their first states."""

from collections.abc import Sequence

import numpy as np

from jaxkd.report import panels, svg
from jaxkd.report.dynamics import forecast_figures
from jaxkd.report.scale import Scale
from jaxkd.report.stages import Model
from jaxkd.training.results.forecast import Forecast

TIMES = 6
"""Maximum number of times that are drawn, evenly spaced from the first sample to the last."""

_COLUMNS = 3


def profiles(of: Sequence[tuple[Model, Forecast]]) -> str:
    """Draw the first quantity over its location, with a panel per time and a curve per model.

    Args:
        of: models with their forecasts of the record, which has places.
    """
    _, record = of[0]
    places, name = np.array(record.places), record.names[0].rpartition("_")[0]
    measured = forecast_figures.rows(record.measured, record)[:, : places.size]
    curves = [(model, forecast_figures.rows(one.forecast, one)[:, : places.size]) for model, one in of]
    shown = np.unique(np.linspace(0, len(record.times) - 1, TIMES).astype(int))
    keys = [panels.LegendEntry(kind="dot", label="measured", color=svg.MUTED)]
    keys += [forecast_figures.key(model, one) for model, one in of]
    figure, each = panels.grid(shown.size, columns=_COLUMNS, height=1.5, below=0.6, keys=keys)
    across, up = Scale.over(places), Scale.over(measured[shown], *(curve for _, curve in curves))
    for at, axes in zip(shown, each, strict=True):
        across.on_x(axes, ticks=4)
        up.on_y(axes)
        panels.x_label(axes, across.label("place", ""))
        panels.title(axes, up.label(name, ""), color=svg.INK, note=f"at {record.times[at]:.3g}")
        for model, curve in curves:
            if at < len(curve):
                forecast_figures.draw(axes, model, across.of(places), up.of(curve[at]))
        panels.dots(axes, across.of(places), up.of(measured[at]), color=svg.MUTED)
    said = ", ".join(key.label for key in keys)
    return svg.element(figure, f"{name} of {record.key} over place at {shown.size} times: {said}")
