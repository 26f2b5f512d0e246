"""Small panels in one figure, each with its title above the vertical axis, and one shared legend on top."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Float

from jaxkd.report import svg
from jaxkd.report.scale import Scale

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 10.0
"""Width of a figure in inches."""
_LEFT, _RIGHT = 0.75, 0.2
"""Free space left and right of each panel, in inches."""
_ABOVE, _LEGEND, _TOP = 0.4, 0.3, 0.08
"""Heights in inches: room for a panel's title, room for the legend, and the part of the latter above the legend."""

_ROW = 1.2 * svg.LINE_IN
"""Height of a further legend row in inches."""
_SAMPLE = 0.65
"""Width of a legend entry's symbol in inches, with the gap before it."""

DOTS, POINTS = 400, 1_000
"""Maximum number of samples drawn per trajectory and of points per line, which keeps pages fast."""

Kind: TypeAlias = Literal["dot", "line", "thick", "thin", "band"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LegendEntry:
    """One symbol of a legend and its label."""

    kind: Kind
    label: str
    color: str | None = None
    """Colour of the symbol; None if the colour distinguishes states."""
    dash: Any = "-"


def grid(
    count: int,
    *,
    columns: int,
    height: float,
    below: float,
    foot: float = 0.0,
    width: float = WIDTH,
    keys: Sequence[LegendEntry] = (),
) -> tuple["Figure", list["Axes"]]:
    """Create a figure as wide as the page, with axes in reading order; lengths are in inches.

    Args:
        count: number of axes.
        columns: maximum number of columns.
        height: height of each pair of axes.
        below: free space under each pair of axes.
        foot: free space under the grid.
        width: width of the grid; the rest of the page stays free on the right.
        keys: legend entries in order.
    """
    columns = min(columns, count)
    head, rows = _head(keys), -(-count // columns)
    row, column = _ABOVE + height + below, width / columns
    total = head + rows * row + foot
    figure = svg.blank(width=WIDTH, height=total)
    panels = []
    for number in range(count):
        left = number % columns * column + _LEFT
        bottom = total - head - number // columns * row - _ABOVE - height
        box = (left / WIDTH, bottom / total, (column - _LEFT - _RIGHT) / WIDTH, height / total)
        panels.append(svg.bare(figure, box))
        panels[-1].grid(axis="y", color=svg.RULE, linewidth=0.8)
    _legend(figure, keys)
    return figure, panels


def stack(
    count: int,
    times: Float[np.ndarray, " times"],
    *,
    height: float,
    name: str,
    unit: str = "",
    width: float = WIDTH,
    keys: Sequence[LegendEntry] = (),
) -> tuple["Figure", list["Axes"], Scale]:
    """Create a column of panels that share a time axis; return the figure, its axes and the scale of time.

    Args:
        count: number of panels.
        times: sample times; the axis runs from the first to the last.
        height: height of each panel in inches.
        name: name of the time variable.
        unit: unit of time.
        width: see `grid`.
        keys: see `grid`.
    """
    figure, each = grid(count, columns=1, height=height, below=0.05, foot=0.45, width=width, keys=keys)
    scale = Scale.over(times)
    for axes in each:
        scale.on_x(axes)
        axes.set_xlim(*scale.of(times[[0, -1]]) if times[0] < times[-1] else axes.get_xlim())
        axes.tick_params(labelbottom=axes is each[-1])
    x_label(each[-1], scale.label(name, unit))
    return figure, each, scale


def beside(figure: "Figure", each: Sequence["Axes"], *, height: float) -> "Axes":
    """Add axes to the right of a narrower stack, top-aligned, at most as high as the stack and `height` inches."""
    first, last = each[0].get_position(), each[-1].get_position()
    left = first.x1 + (_RIGHT + _LEFT) / WIDTH
    bottom = max(last.y0, first.y1 - height / figure.get_figheight())
    axes = svg.bare(figure, (left, bottom, 1 - _RIGHT / WIDTH - left, first.y1 - bottom))
    axes.grid(color=svg.RULE, linewidth=0.8)
    return axes


def _columns(keys: Sequence[LegendEntry]) -> int:
    """Return the number of legend columns that fit side by side."""
    lengths = [len(key.label) for key in keys]
    for columns in range(len(keys), 1, -1):
        widest = [max(part) for part in np.array_split(lengths, columns)]
        if sum(_SAMPLE + svg.CHARACTER_IN * length for length in widest) <= WIDTH - _LEFT:
            return columns
    return 1


def _head(keys: Sequence[LegendEntry]) -> float:
    return _LEGEND + _ROW * (-(-len(keys) // _columns(keys)) - 1) if keys else 0.0


def _legend(figure: "Figure", keys: Sequence[LegendEntry]) -> None:
    """Add the legend above all panels."""
    if keys:
        figure.legend(
            [_sample(key) for key in keys],
            [key.label for key in keys],
            loc="upper left",
            bbox_to_anchor=(_LEFT / WIDTH, 1 - _TOP / figure.get_figheight()),
            ncols=_columns(keys),
            frameon=False,
            borderpad=0,
            borderaxespad=0,
            handlelength=1.6,
            columnspacing=2.5,
            labelcolor=svg.MUTED,
            fontsize=svg.FONT_PT,
        )


def _sample(key: LegendEntry) -> "Artist":
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    ink, grey = key.color or svg.INK, key.color or svg.NEUTRAL
    match key.kind:
        case "dot":
            return Line2D([], [], color=ink, linestyle="", marker="o", markersize=3.2, alpha=0.7)
        case "line":
            return Line2D([], [], color=ink, linestyle=key.dash, linewidth=1.6)
        case "thick":
            return Line2D([], [], color=grey, linewidth=4, alpha=0.5)
        case "thin":
            return Line2D([], [], color=grey, linewidth=0.7)
        case "band":
            return Patch(color=ink, alpha=0.2, linewidth=0)


def title(axes: "Axes", label: str, *, color: str, note: str = "") -> None:
    """Write the vertical axis' label above the axis, and a short note on the right."""
    label = _fitting(axes, label, beside=len(note))
    for place, side, text, weight, ink in ((0, "left", label, "bold", color), (1, "right", note, "normal", svg.MUTED)):
        axes.annotate(
            text, (place, 1), (0, 6), "axes fraction", "offset points", ha=side, va="bottom", weight=weight, color=ink
        )


def x_label(axes: "Axes", label: str) -> None:
    """Label the horizontal axis."""
    axes.set_xlabel(_fitting(axes, label), color=svg.MUTED, loc="right", labelpad=1, fontsize=svg.FONT_PT)


def dots(axes: "Axes", x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], *, color: str = svg.INK) -> None:
    """Draw samples with the symbol of the legend."""
    axes.plot(x, y, "o", color=color, markersize=2.6, markeredgewidth=0, alpha=0.7, clip_on=False)


def stride(count: int, most: int) -> int:
    """Return the stride that reduces `count` samples to at most `most`."""
    return max(1, -(-count // most))


def _fitting(axes: "Axes", label: str, *, beside: int = 0) -> str:
    """Shorten a label to the room that `beside` further characters leave."""
    room = max(2, int(axes.get_position().width * WIDTH / (1.1 * svg.CHARACTER_IN)) - beside)
    return label if len(label) <= room else label[: room - 1] + "…"
