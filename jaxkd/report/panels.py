"""Small panels in one figure: each named above its vertical axis, with a legend over all of them."""

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
"""Of a figure, in inches."""
_LEFT, _RIGHT = 0.75, 0.2
"""Beside each of its panels."""
_ABOVE, _LEGEND, _TOP = 0.4, 0.3, 0.08
"""Room for a panel's name and for the legend, and what of that is above the legend."""

_ROW = 1.2 * svg.LINE_IN
"""Of a legend that has several."""
_SAMPLE = 0.65
"""In front of a name in the legend, with the gap before it."""

DOTS, POINTS = 400, 1_000
"""At most, of one trajectory's samples and of one line: a browser draws no more in a blink."""

Kind: TypeAlias = Literal["dot", "line", "thick", "thin", "band"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Key:
    """What a legend explains."""

    kind: Kind
    label: str
    color: str | None = None
    """None where the colour says which state it is."""
    dash: Any = "-"


def grid(
    count: int,
    *,
    columns: int,
    height: float,
    below: float,
    foot: float = 0.0,
    width: float = WIDTH,
    keys: Sequence[Key] = (),
) -> tuple["Figure", list["Axes"]]:
    """A figure as wide as the page with axes in reading order; lengths in inches.

    Args:
        count: of the axes.
        columns: of axes, at most.
        height: of each pair of axes.
        below: room under each.
        foot: room under all.
        width: of the grid; what the page has more stays free at the right.
        keys: of the legend, in its order.
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
    keys: Sequence[Key] = (),
) -> tuple["Figure", list["Axes"], Scale]:
    """A grid of panels under one another, and the time that they share.

    Args:
        count: of the panels.
        times: from the first, at the left, to the last.
        height: of each, in inches.
        name: of the time.
        unit: of the time.
        width: as in `grid`.
        keys: as in `grid`.
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
    """Axes at the right of a narrower stack, from its top down to its bottom, or of this height in inches at most."""
    first, last = each[0].get_position(), each[-1].get_position()
    left = first.x1 + (_RIGHT + _LEFT) / WIDTH
    bottom = max(last.y0, first.y1 - height / figure.get_figheight())
    axes = svg.bare(figure, (left, bottom, 1 - _RIGHT / WIDTH - left, first.y1 - bottom))
    axes.grid(color=svg.RULE, linewidth=0.8)
    return axes


def _columns(keys: Sequence[Key]) -> int:
    """Of the legend: as many as have room side by side."""
    lengths = [len(key.label) for key in keys]
    for columns in range(len(keys), 1, -1):
        widest = [max(part) for part in np.array_split(lengths, columns)]
        if sum(_SAMPLE + svg.CHARACTER_IN * length for length in widest) <= WIDTH - _LEFT:
            return columns
    return 1


def _head(keys: Sequence[Key]) -> float:
    return _LEGEND + _ROW * (-(-len(keys) // _columns(keys)) - 1) if keys else 0.0


def _legend(figure: "Figure", keys: Sequence[Key]) -> None:
    """Above all panels."""
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


def _sample(key: Key) -> "Artist":
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
    """What stands on the vertical axis, above it where it can be read, and a few words at the right."""
    label = _fitting(axes, label, beside=len(note))
    for place, side, text, weight, ink in ((0, "left", label, "bold", color), (1, "right", note, "normal", svg.MUTED)):
        axes.annotate(
            text, (place, 1), (0, 6), "axes fraction", "offset points", ha=side, va="bottom", weight=weight, color=ink
        )


def x_label(axes: "Axes", label: str) -> None:
    """What stands on the horizontal axis."""
    axes.set_xlabel(_fitting(axes, label), color=svg.MUTED, loc="right", labelpad=1, fontsize=svg.FONT_PT)


def dots(axes: "Axes", x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], *, color: str = svg.INK) -> None:
    """Samples, as the legend has them."""
    axes.plot(x, y, "o", color=color, markersize=2.6, markeredgewidth=0, alpha=0.7, clip_on=False)


def stride(count: int, most: int) -> int:
    """Of places of which there are so many, one of how many is shown."""
    return max(1, -(-count // most))


def _fitting(axes: "Axes", label: str, *, beside: int = 0) -> str:
    """As much of a label as has room beside so many characters."""
    room = max(2, int(axes.get_position().width * WIDTH / (1.1 * svg.CHARACTER_IN)) - beside)
    return label if len(label) <= room else label[: room - 1] + "…"
