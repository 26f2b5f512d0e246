"""Figures of a study: bars, curves over steps, and intervals."""

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from jaxkd.evals.comparison import Comparison
from jaxkd.report import cells, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Size: TypeAlias = Literal["half", "wide", "strip"]
"""Size of a figure: half the page's width, its full width, or its full width at a low height."""

PAGE, NARROW = 10.0, 5.0
"""Widths of figures in inches: the whole page, and half of it or the screen of a phone."""

SMOOTHED_FROM = 80
"""Least number of values of a curve that is drawn as its running mean."""

_SAMPLE_IN = 0.38
"""Length in inches of the piece of a dashed curve in front of its name."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """One curve."""

    label: str
    color: int | None
    """Palette index; None for a model that is context."""
    steps: tuple[float, ...]
    values: tuple[float, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bar:
    """One model's values, one per training seed."""

    label: str
    color: int | None
    values: tuple[float, ...]


def bars(rows: Sequence[Bar], *, title: str, width: float = PAGE) -> str:
    """Draw horizontal bars from 0, labelled with the mean, with a dot per seed if there are several.

    Args:
        rows: bars from top to bottom.
        title: text that a screen reader reads before the means.
        width: width in inches, `PAGE` or `NARROW`.
    """
    left = 0.25 + svg.CHARACTER_IN * max(len(row.label) for row in rows)
    figure, axes = svg.axes(width=width, height=0.2 + 0.42 * len(rows), left=left, right=0.8, bottom=0.05, top=0.05)
    means = [float(np.mean(row.values)) for row in rows]
    for place, (row, mean) in enumerate(zip(rows, means, strict=True)):
        axes.barh(place, mean, height=0.62, color=svg.color(row.color), linewidth=0)
        end = mean
        if len(row.values) > 1:
            axes.plot(row.values, [place] * len(row.values), "o", markersize=4.5, color=svg.INK, alpha=0.75, zorder=3)
            end = max(row.values)
        axes.annotate(
            cells.number(mean),
            (end, place),
            (7, 0),
            textcoords="offset points",
            va="center",
            color=svg.INK,
            weight="bold",
        )
    axes.set_yticks(range(len(rows)), [row.label for row in rows], color=svg.INK)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 1.02 * max(max(row.values) for row in rows) or 1.0)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.spines["left"].set_visible(True)
    axes.spines["left"].set_color(svg.RULE)
    figures = "; ".join(f"{row.label} {cells.number(mean)}" for row, mean in zip(rows, means, strict=True))
    return svg.element(figure, f"{title}, by model: {figures}", variant=width)


def lines(curves: Sequence[Line], *, description: str, size: Size = "half") -> str:
    """Draw curves over steps, each named at its end; the vertical axis is logarithmic if values span a factor of 4.

    A curve of `SMOOTHED_FROM` values or more is drawn faintly, with its running mean on top.

    Args:
        curves: curves to draw; those with the same label share a colour and are named once.
        description: text for screen readers.
    """
    names = list(dict.fromkeys(curve.label for curve in curves))
    right = 0.25 + svg.CHARACTER_IN * max((len(name) for name in names), default=0)
    width, height = {"half": (NARROW, 2.6), "wide": (PAGE, 3.2), "strip": (PAGE, 1.5)}[size]
    # One text line per name.
    height = max(height, 0.54 + svg.LINE_IN * len(names))
    dashed = len({curve.color for curve in curves}) > len(svg.PALETTE)
    right += _SAMPLE_IN if dashed else 0
    figure, axes = svg.axes(width=width, height=height, left=0.58, right=right, bottom=0.42, top=0.12)
    shown = []
    seeds = len(curves) > len(names)
    for curve in curves:
        values = _running_mean(np.array(curve.values, np.float64))
        shown.append(values)
        color = svg.color(curve.color)
        if len(values) >= SMOOTHED_FROM:
            axes.plot(curve.steps, curve.values, color=color, linewidth=0.6, alpha=0.25)
        marker = "o" if len(values) <= 12 else None
        axes.plot(
            curve.steps,
            values,
            color=color,
            linestyle=svg.dash(curve.color),
            linewidth=1.2 if seeds else 1.8,
            marker=marker,
            markersize=3,
            clip_on=False,
        )
    box = axes.get_position()
    size_in = figure.get_figwidth() * box.width, figure.get_figheight() * box.height
    _scale(axes, logarithmic=is_logarithmic(curves), height=size_in[1])
    first, last = min(min(curve.steps) for curve in curves), max(max(curve.steps) for curve in curves)
    # A run that is validated only at its end is a single dot there.
    axes.set_xlim(first if first < last else 0, max(last, 1))
    axes.set_xlabel("step", color=svg.MUTED, loc="right", labelpad=1, fontsize=svg.FONT_PT)
    ends = {}
    for name in names:
        of_name = [
            (curve.color, values[-1]) for curve, values in zip(curves, shown, strict=True) if curve.label == name
        ]
        ends[name] = (of_name[0][0], float(np.mean([value for _, value in of_name])))
    _end_labels(axes, ends, size_in=size_in, dashed=dashed)
    return svg.element(figure, description, variant=width)


def intervals(comparisons: Sequence[Comparison], *, width: float = PAGE) -> str:
    """Draw differences with their intervals, and a note that says on which side of 0 the first of a pair is better.

    Args:
        comparisons: pairs of models by one headline, from top to bottom.
        width: width in inches, `PAGE` or `NARROW`, where a pair takes two lines.
    """
    between = " − " if width == PAGE else "\n− "
    names = [f"{one.first}{between}{one.second}" for one in comparisons]
    left = 0.25 + svg.CHARACTER_IN * max(len(line) for name in names for line in name.splitlines())
    height = 0.75 + (0.42 if width == PAGE else 0.55) * len(names)
    figure, axes = svg.axes(width=width, height=height, left=left, right=1.0, bottom=0.55, top=0.05)
    axes.axvline(0, color=svg.MUTED, linewidth=1)
    for place, one in enumerate(comparisons):
        interval = one.interval
        color = svg.INK if interval.excludes_zero else svg.NEUTRAL
        axes.plot([interval.low, interval.high], [place, place], color=color, linewidth=2.2, solid_capstyle="round")
        axes.plot([interval.estimate], [place], "o", color=color, markersize=7)
        axes.annotate(
            f"{interval.estimate:+.3f}".replace("-", "−"),
            (interval.high, place),
            (9, 0),
            textcoords="offset points",
            va="center",
            color=color,
            weight="bold",
        )
    axes.set_yticks(range(len(names)), names, color=svg.INK)
    axes.set_ylim(len(names) - 0.5, -0.5)
    ends = [0.0] + [end for one in comparisons for end in (one.interval.low, one.interval.high)]
    margin = 0.06 * (max(ends) - min(ends) or 1.0)
    axes.set_xlim(min(ends) - margin, max(ends) + margin)
    axes.grid(axis="x", color=svg.RULE, linewidth=0.8)
    headline = comparisons[0].headline
    side = "below" if headline.better == "lower" else "above"
    # Below the whole figure, as the axis of a narrow one is shorter than this.
    figure.text(
        1 - 0.1 / width,
        0.02,
        f"difference in {headline.unit}; {side} 0 the first is better",
        color=svg.MUTED,
        fontsize=svg.FONT_PT,
        ha="right",
        va="bottom",
    )
    return svg.element(figure, "Paired differences: " + " ".join(str(one) for one in comparisons), variant=width)


_FEW_DECADES = 1e3
"""Ratio of the ends of a logarithmic axis below which it has ticks between powers of ten."""
_BETWEEN = (1.0, 2.0, 5.0)
"""Multiples of a power of ten that have a tick then."""


def is_logarithmic(curves: Sequence[Line]) -> bool:
    """Whether `lines` draws these on a logarithmic axis: all are positive and span a factor of 4."""
    low = min(min(curve.values) for curve in curves)
    return low > 0 and max(max(curve.values) for curve in curves) >= 4 * low


def _scale(axes: "Axes", *, logarithmic: bool, height: float) -> None:
    """Set scale and ticks; `height` is that of the axes in inches."""
    from matplotlib import ticker

    axes.grid(axis="y", color=svg.RULE, linewidth=0.8)
    if logarithmic:
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        # Between powers of ten where these are few, or LogLocator would place no tick at all, and where there is room.
        between = high < _FEW_DECADES * low and len(_BETWEEN) * math.log10(high / low) < height / svg.LINE_IN
        axes.yaxis.set_major_locator(ticker.LogLocator(subs=_BETWEEN if between else (1.0,), numticks=6))
        axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_locator(ticker.NullLocator())
    else:
        axes.yaxis.set_major_locator(ticker.MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: svg.short(value)))
    axes.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _end_labels(
    axes: "Axes", ends: dict[str, tuple[int | None, float]], *, size_in: tuple[float, float], dashed: bool
) -> None:
    """Name each curve at its last value without overlaps; `size_in` is the size of the axes in inches."""
    to_fraction = axes.transData + axes.transAxes.inverted()
    width, height = size_in
    gap = svg.LINE_IN / height
    step = axes.get_xlim()[1]
    order = sorted(ends, key=lambda name: ends[name][1])
    places = [float(to_fraction.transform((step, ends[name][1]))[1]) for name in order]
    for name, place in zip(order, _inside(_spread(places, gap), gap), strict=True):
        number, left = ends[name][0], 1.015
        if dashed:
            sample = 1.01, 1.01 + 0.8 * _SAMPLE_IN / width
            axes.plot(
                sample,
                (place, place),
                transform=axes.transAxes,
                clip_on=False,
                color=svg.color(number),
                linestyle=svg.dash(number),
                linewidth=1.8,
            )
            left += _SAMPLE_IN / width
        axes.text(left, place, name, transform=axes.transAxes, va="center", color=svg.color(number), weight="bold")


def _spread(places: Sequence[float], gap: float) -> list[float]:
    """Move ascending positions as little as needed to lie `gap` apart; touching ones form a block around their mean."""
    blocks: list[list[float]] = []
    for place in places:
        blocks.append([place])
        while len(blocks) > 1 and _bottom(blocks[-1], gap) - _bottom(blocks[-2], gap) < gap * len(blocks[-2]):
            last = blocks.pop()
            blocks[-1] += last
    return [_bottom(block, gap) + number * gap for block in blocks for number in range(len(block))]


def _inside(places: Sequence[float], gap: float) -> list[float]:
    """Move positions that lie `gap` apart into [0, 1] if they all fit."""
    if gap * (len(places) - 1) > 1:
        return list(places)
    low = [max(place, number * gap) for number, place in enumerate(places)]
    return [min(place, 1 - (len(low) - 1 - number) * gap) for number, place in enumerate(low)]


def _bottom(block: Sequence[float], gap: float) -> float:
    return sum(block) / len(block) - gap * (len(block) - 1) / 2


def _running_mean(values: np.ndarray) -> np.ndarray:
    """Return the mean over a fortieth of the curve around each value, or a short curve unchanged.

    The window narrows on both sides at the start, where curves fall steeply, and only on the far side at
    the end, so that the last value is not a single noisy one.
    """
    if len(values) < SMOOTHED_FROM:
        return values
    half = len(values) // SMOOTHED_FROM
    sums = np.concatenate([[0.0], np.cumsum(values)])
    place = np.arange(len(values))
    before = np.minimum(half, place)
    after = np.minimum(before, len(values) - 1 - place)
    return (sums[place + after + 1] - sums[place - before]) / (before + after + 1)
