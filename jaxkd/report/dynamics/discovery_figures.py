"""Figures of discovered equations: their forecasts, and the candidates they were chosen from."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from jaxkd.dynamics.validation.discovered import Discovered, SparsityPath, derivative
from jaxkd.report import panels, svg
from jaxkd.report.scale import Scale, logarithmic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STATES = 6
"""Maximum number of states that are drawn, each in its own colour."""

BEYOND = 5.0
"""Multiple of the noise at which larger remainders are clipped."""

_TRAJECTORIES = 24


def forecasts(discovered: Discovered) -> str:
    """Draw held-out samples, their forecast and its band, with a panel per state."""
    shown = discovered.shown
    every = panels.stride(len(shown.times), panels.DOTS)
    samples = "measured" if every == 1 else f"measured, one of {every} samples"
    keys = [
        panels.LegendEntry(kind="dot", label=samples),
        panels.LegendEntry(kind="line", label="forecast"),
        panels.LegendEntry(kind="band", label="90 % band"),
    ]
    figure, each, times = _over_time(discovered, height=1.4, keys=keys)
    ends = []
    for state, axes in enumerate(each):
        name, color = discovered.states[state], svg.color(state)
        measured, low, high = shown.measured[:, state], shown.low[:, state], shown.high[:, state]
        length = _length(shown.forecast[:, [state]])
        forecast = shown.forecast[:length, state]
        scale = Scale.over(measured, forecast, low, high)
        scale.on_y(axes)
        fine = slice(None, None, panels.stride(len(times), panels.POINTS))
        there = np.isfinite(low) & np.isfinite(high)
        band = (scale.of(np.where(there, one, 0.0))[fine] for one in (low, high))
        axes.fill_between(times[fine], *band, where=there[fine].tolist(), color=color, alpha=0.2, linewidth=0)
        axes.plot(times[:length][fine], scale.of(forecast)[fine], color=color, linewidth=1.6)
        panels.dots(axes, times[::every], scale.of(measured)[::every])
        note = ""
        if length < len(times):
            note = f"diverges at {times[length]:.4g}" if length else "no forecast"
            ends.append(f"{name}: {note}")
        panels.title(axes, scale.label(name, discovered.units.get(name, "")), color=color, note=note)
    said = f"Forecast of {_names(discovered)} beside the samples of {shown.source}"
    return svg.element(figure, "; ".join([said, *ends]))


def phase(discovered: Discovered) -> str:
    """Draw the first two states against each other, or a single state's rate of change against the state."""
    shown, first = discovered.shown, discovered.states[0]
    length = _length(shown.forecast)
    if len(discovered.states) > 1:
        second, unit = discovered.states[1], discovered.units.get(discovered.states[1], "")
        known, color = _some(discovered.training), svg.INK
        measured, forecast = shown.measured[:, :2], shown.forecast[:length, :2]
    else:
        # The rates of the other trajectories are unknown.
        second, unit = derivative(first, discovered.time), _rate_unit(discovered, first, order=1)
        known, color = [], svg.color(0)
        measured = np.stack([shown.measured[:, 0], shown.slopes[:, 0]], axis=-1)
        forecast = shown.forecast[:length, 0]
        slopes = np.gradient(forecast, shown.times[:length]) if length > 1 else np.full(length, np.nan)
        forecast = np.stack([forecast, slopes], axis=-1)
    keys = [panels.LegendEntry(kind="thin", label="found on these")] if known else []
    keys += [panels.LegendEntry(kind="dot", label="measured"), panels.LegendEntry(kind="line", label="forecast")]
    figure, (axes,) = panels.grid(1, columns=1, height=3.9, below=0.5, keys=keys)
    across, up = (
        Scale.over(np.concatenate([measured[:, axis], *(one[:, axis] for one in known)]), forecast[:, axis])
        for axis in (0, 1)
    )
    across.on_x(axes)
    up.on_y(axes, ticks=8)
    axes.grid(axis="x", color=svg.RULE, linewidth=0.8)
    for one in known:
        axes.plot(across.of(one[:, 0]), up.of(one[:, 1]), color=svg.NEUTRAL, linewidth=0.7, alpha=0.5)
    axes.plot(across.of(forecast[:, 0]), up.of(forecast[:, 1]), color=color, linewidth=1.6)
    every = panels.stride(len(measured), panels.DOTS)
    panels.dots(axes, across.of(measured[::every, 0]), up.of(measured[::every, 1]))
    panels.x_label(axes, across.label(first, discovered.units.get(first, "")))
    panels.title(axes, up.label(second, unit), color=svg.MUTED)
    return svg.element(figure, f"{second} against {first}: samples of {shown.source} and the forecast of them")


def slopes(discovered: Discovered) -> str:
    """Draw derivatives of the curves through the samples, and the equations' right-hand sides along them."""
    shown, order = discovered.shown, discovered.order
    keys = [
        panels.LegendEntry(kind="thick", label=f"{'slopes' if order == 1 else 'second derivatives'} of the curves"),
        panels.LegendEntry(kind="line", label="right-hand sides"),
    ]
    figure, each, times = _over_time(discovered, height=1.1, keys=keys)
    fine = slice(None, None, panels.stride(len(times), panels.POINTS))
    for state, axes in enumerate(each):
        name = discovered.states[state]
        measured, predicted = shown.left_hand_sides[:, state], shown.right_hand_sides[:, state]
        scale = Scale.over(measured, predicted)
        scale.on_y(axes)
        axes.plot(times[fine], scale.of(measured)[fine], color=svg.NEUTRAL, linewidth=4, alpha=0.5)
        axes.plot(times[fine], scale.of(predicted)[fine], color=svg.color(state), linewidth=1.5)
        rate = derivative(name, discovered.time, order=order)
        label = scale.label(rate, _rate_unit(discovered, name, order=order))
        panels.title(axes, label, color=svg.color(state))
    return svg.element(figure, f"Rates of change of {_names(discovered)}, of the curves and of the equations")


def paths(discovered: Discovered) -> str:
    """Draw errors of candidates by number of terms, with one standard error, and a ring around the chosen one."""
    from matplotlib import ticker

    drawn = [path for path in discovered.paths if path.state in discovered.states[:STATES]]
    figure, each = panels.grid(len(drawn), columns=3, height=1.6, below=0.6)
    said = []
    for path, axes in zip(drawn, each, strict=True):
        color = svg.color(discovered.states.index(path.state))
        low, errors, high = _above_zero(path)
        axes.plot(path.terms, errors, color=svg.NEUTRAL, linewidth=0.8)
        axes.vlines(path.terms, low, high, color=color, linewidth=1.4, alpha=0.6)
        axes.plot(path.terms, errors, "o", color=color, markersize=4, clip_on=False)
        terms, error = int(path.terms[path.chosen]), errors[path.chosen]
        axes.plot([terms], [error], "o", color=color, markersize=6, clip_on=False)
        axes.plot(
            [terms], [error], "o", color=color, fillstyle="none", markersize=12, markeredgewidth=1.4, clip_on=False
        )
        logarithmic(axes, np.concatenate([low, high]))
        axes.set_xlim(path.terms.min() - 0.6, path.terms.max() + 0.6)
        axes.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True, min_n_ticks=1))
        panels.x_label(axes, "terms")
        note = f"{terms} {'term' if terms == 1 else 'terms'}"
        panels.title(axes, path.state, color=color, note=note)
        said.append(f"{path.state} has {note} with an error of {path.errors[path.chosen]:.3g}")
    return svg.element(figure, "Error by number of terms: " + "; ".join(said))


def remainders(discovered: Discovered) -> str:
    """Draw histograms of forecast residuals, in units of the noise, with a standard normal curve."""
    from matplotlib import ticker

    states = discovered.states[:STATES]
    figure, each = panels.grid(len(states), columns=3, height=1.4, below=0.6)
    said = []
    for state, (name, axes) in enumerate(zip(states, each, strict=True)):
        left = discovered.remainder[..., state]
        left, noise = left[np.isfinite(left)], float(discovered.noise[state])
        axes.yaxis.set_visible(False)
        axes.set_xlim(-BEYOND, BEYOND)
        axes.xaxis.set_major_locator(ticker.FixedLocator([-4, -2, 0, 2, 4]))
        note = ""
        if left.size and noise > 0:
            with np.errstate(over="ignore"):
                multiples = np.clip(left / noise, -BEYOND, BEYOND)
            note = f"{np.mean(np.abs(multiples) <= 2):.0%} within ±2".replace("%", " %")
            _histogram(axes, multiples, color=svg.color(state))
        else:
            empty = "no forecast"
            if left.size:
                unit = discovered.units.get(name, "")
                empty = f"no noise; at most {np.max(np.abs(left)):.2g} {unit}".rstrip() + " is left"
            axes.text(0.5, 0.5, empty, transform=axes.transAxes, ha="center", va="center", color=svg.MUTED)
        panels.x_label(axes, "times the noise")
        panels.title(axes, name, color=svg.color(state), note=note)
        said.append(f"{name} {note}".rstrip())
    return svg.element(figure, "What forecasts leave, in units of the noise: " + "; ".join(said))


def _histogram(axes: "Axes", multiples: Float[np.ndarray, " n"], *, color: str) -> None:
    width = 0.5 if multiples.size >= 100 else 1.0
    counts, edges = np.histogram(multiples, bins=np.arange(-BEYOND, BEYOND + width / 2, width))
    density = counts / (multiples.size * width)
    axes.bar(edges[:-1] + width / 2, density, 0.94 * width, color=color, alpha=0.55, linewidth=0)
    at = np.linspace(-BEYOND, BEYOND, 101)
    normal = np.exp(-(at**2) / 2) / np.sqrt(2 * np.pi)
    axes.plot(at, normal, color=svg.INK, linewidth=1.3)
    axes.set_ylim(0, 1.1 * max(density.max(), normal.max()))


def _above_zero(path: SparsityPath) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Return errors and the ends of their whiskers, floored near the least positive error for a logarithmic axis."""
    errors = np.where(np.isfinite(path.errors), path.errors, np.nan)
    deviations = np.where(np.isfinite(path.deviations), path.deviations, 0.0)
    positive = errors[errors > 0]
    floor = positive.min() / 3 if positive.size else 0.0
    return np.maximum(errors - deviations, floor), np.maximum(errors, floor), np.maximum(errors + deviations, floor)


def _over_time(
    discovered: Discovered, *, height: float, keys: Sequence[panels.LegendEntry]
) -> tuple["Figure", list["Axes"], Float[np.ndarray, " times"]]:
    """Create a column of panels, one per state, and return the samples' coordinates on the shared time axis."""
    shown, unit = discovered.shown.times, discovered.units.get(discovered.time, "")
    count = min(len(discovered.states), STATES)
    figure, each, times = panels.stack(count, shown, height=height, name=discovered.time, unit=unit, keys=keys)
    return figure, each, times.of(shown)


def _length(forecast: Float[np.ndarray, "times states"]) -> int:
    """Return the number of samples before the forecast diverges."""
    lost = ~np.isfinite(forecast).all(axis=1)
    return int(np.argmax(lost)) if lost.any() else len(forecast)


def _some(training: Sequence[Float[np.ndarray, "times states"]]) -> list[Float[np.ndarray, "times states"]]:
    """Thin out the list evenly and truncate long trajectories, which would have corners if thinned out."""
    every = panels.stride(len(training), _TRAJECTORIES)
    return [trajectory[: panels.POINTS] for trajectory in training[::every]]


def _names(discovered: Discovered) -> str:
    return ", ".join(discovered.states[:STATES])


def _rate_unit(discovered: Discovered, name: str, *, order: int) -> str:
    """Return the unit of a derivative, empty if time has none: the state's unit alone would be wrong."""
    unit, time = discovered.units.get(name, ""), discovered.units.get(discovered.time, "")
    return f"{unit or '1'}/{time}{'²' if order == 2 else ''}" if time else ""
