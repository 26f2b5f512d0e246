"""Figures of a kept study that are drawn: their intervals, and names beside the ends of curves."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from jaxkd.report import svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Estimate: TypeAlias = tuple[float, float, float]
"""A figure, and the ends of its interval."""


def intervals(kept: Mapping[str, Any]) -> dict[str, Estimate]:
    """Return the figures with intervals of a benchmark's JSON, by name."""
    return {row["figure"]: (row["value"], *row["interval"]) for row in kept["rows"] if row["interval"]}


def words(name: str) -> str:
    """Return the name of a stage as it is read."""
    return name.replace("_", " ")


def name_curves(
    axes: "Axes", ends: Mapping[str, tuple[float, float]], *, gap: float, colours: Mapping[str, str]
) -> None:
    """Write the names of curves to the right of their ends, apart from one another.

    Args:
        axes: axes with the curves.
        ends: last point of each curve.
        gap: least vertical distance between two names, in units of the axis.
        colours: colour of each curve.
    """
    heights: list[float] = []
    for name, (at, height) in sorted(ends.items(), key=lambda one: one[1][1]):
        heights.append(max([height, *(lower + gap for lower in heights)]))
        axes.annotate(
            words(name),
            (at, heights[-1]),
            xytext=(8, 0),
            textcoords="offset points",
            color=colours[name],
            va="center",
            fontsize=svg.FONT_PT,
            annotation_clip=False,
        )
