"""Small panels in one figure: each named above its vertical axis, with a legend over all of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from jaxtyping import Float

from jaxkd.report import svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _LEFT, _RIGHT = 10.0, 0.75, 0.2
"""Of a figure, and beside each of its panels, in inches."""
_ABOVE, _LEGEND, _TOP = 0.4, 0.3, 0.08
"""Room for a panel's name and for the legend, and what of that is above the legend."""

Kind: TypeAlias = Literal["dot", "line", "thick", "thin", "band"]


def grid(
    count: int, *, columns: int, height: float, below: float, foot: float = 0.0, keys: Sequence[tuple[Kind, str]] = ()
) -> tuple["Figure", list["Axes"]]:
    """A figure as wide as the page with axes in reading order; lengths in inches.

    Args:
        count: of the axes.
        columns: of axes, at most.
        height: of each pair of axes.
        below: room under each.
        foot: room under all.
        keys: of the legend, in its order.
    """
    columns = min(columns, count)
    head, rows = _LEGEND if keys else 0.0, -(-count // columns)
    row, column = _ABOVE + height + below, _WIDTH / columns
    total = head + rows * row + foot
    figure = svg.blank(width=_WIDTH, height=total)
    panels = []
    for number in range(count):
        left = number % columns * column + _LEFT
        bottom = total - head - number // columns * row - _ABOVE - height
        box = (left / _WIDTH, bottom / total, (column - _LEFT - _RIGHT) / _WIDTH, height / total)
        panels.append(svg.bare(figure, box))
        panels[-1].grid(axis="y", color=svg.RULE, linewidth=0.8)
    _legend(figure, keys)
    return figure, panels


def _legend(figure: "Figure", keys: Sequence[tuple[Kind, str]]) -> None:
    """Above all panels, without colour: that says which state it is."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    samples = {
        "dot": Line2D([], [], color=svg.INK, linestyle="", marker="o", markersize=3.2, alpha=0.7),
        "line": Line2D([], [], color=svg.INK, linewidth=1.6),
        "thick": Line2D([], [], color=svg.NEUTRAL, linewidth=4, alpha=0.5),
        "thin": Line2D([], [], color=svg.NEUTRAL, linewidth=0.7),
        "band": Patch(color=svg.INK, alpha=0.2, linewidth=0),
    }
    if keys:
        figure.legend(
            [samples[kind] for kind, _ in keys],
            [label for _, label in keys],
            loc="upper left",
            bbox_to_anchor=(_LEFT / _WIDTH, 1 - _TOP / figure.get_figheight()),
            ncols=len(keys),
            frameon=False,
            borderpad=0,
            borderaxespad=0,
            handlelength=1.6,
            columnspacing=2.5,
            labelcolor=svg.MUTED,
            fontsize=svg.FONT_PT,
        )


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


def dots(axes: "Axes", x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> None:
    """Samples, as the legend has them."""
    axes.plot(x, y, "o", color=svg.INK, markersize=2.6, markeredgewidth=0, alpha=0.7, clip_on=False)


def _fitting(axes: "Axes", label: str, *, beside: int = 0) -> str:
    """As much of a label as has room beside so many characters."""
    room = max(2, int(axes.get_position().width * _WIDTH / (1.1 * svg.CHARACTER_IN)) - beside)
    return label if len(label) <= room else label[: room - 1] + "…"
