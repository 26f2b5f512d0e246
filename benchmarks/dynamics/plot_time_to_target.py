"""`python -m benchmarks.dynamics.plot_time_to_target`: draw the error of fields over training time, by method.

Reads `benchmarks/results/time_to_target.json` and writes `docs/_static/time_to_target.svg`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from benchmarks.dynamics.time_to_target import METHODS, TARGETS, THEN, WITHIN, within
from benchmarks.row import Measured
from benchmarks.runner import read
from jaxkd.report import panels, svg
from jaxkd.runtime.program import run_program

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "benchmarks" / "results" / "time_to_target.json"
DRAWING = ROOT / "docs" / "_static" / "time_to_target.svg"

NAMES = (*METHODS, THEN)

Curves: TypeAlias = Mapping[str, Mapping[float, tuple[float, ...]]]
"""Errors by method, time in runs of FNODE, and seed."""


def curves(measured: Measured) -> Mapping[str, Curves]:
    """Return the curves of each system.

    Raises:
        ValueError: a method has no curve.
    """
    values = {row.figure: row.samples for row in measured.rows}
    found: dict[str, dict[str, dict[float, tuple[float, ...]]]] = {}
    for system, _ in TARGETS:
        of = found[system.name] = {}
        for name in NAMES:
            of[name] = {time: values[row] for time in WITHIN if (row := within(system, name, time)) in values}
            if not of[name]:
                raise ValueError(
                    f"the result must have errors of {name} on {system.name} within some time, got none. Measure it "
                    "with `python -m benchmarks time_to_target --json PATH`."
                )
    return found


def drawn(measured: Measured) -> str:
    """Draw on two logarithmic axes: medians as lines, seeds as dots, targets as horizontal lines.

    Raises:
        ValueError: as `curves`.
    """
    found = curves(measured)
    keys = [panels.LegendEntry(kind="line", label=name, color=svg.color(number)) for number, name in enumerate(NAMES)]
    figure, each = panels.grid(len(TARGETS), columns=2, height=2.6, below=0.55, keys=keys)
    medians = {row.figure: row.value for row in measured.rows}
    for axes, (system, targets) in zip(each, TARGETS, strict=True):
        panels.title(axes, system.name, color=svg.INK, note="least error of the field")
        _scale(axes, found[system.name], targets)
        for number, (name, points) in enumerate(found[system.name].items()):
            color = svg.color(number)
            for time, errors in points.items():
                axes.plot([time] * len(errors), errors, "o", color=color, markersize=3, markeredgewidth=0, alpha=0.4)
            line = [medians[within(system, name, time)] for time in points]
            axes.plot(list(points), line, color=color, linewidth=1.6, marker="o", markersize=4, markeredgewidth=0)
    said = "; ".join(f"{name} on {system}" for system, of in found.items() for name in of)
    return svg.document(svg.element(figure, f"Least errors of fields over the time spent: {said}"))


def _scale(axes: "Axes", found: Curves, targets: tuple[float, ...]) -> None:
    from matplotlib import ticker

    errors = [error for points in found.values() for seeds in points.values() for error in seeds]
    axes.set(xscale="log", yscale="log", ylim=(0.85 * min(errors), 1.15 * min(max(errors), 1.0)))
    plain = ticker.FuncFormatter(lambda value, _: f"{value:g}")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(ticker.NullLocator())
        axis.set_major_formatter(plain)
    axes.xaxis.set_major_locator(ticker.FixedLocator(WITHIN))
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
    for target in targets:
        axes.axhline(target, color=svg.MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
    panels.x_label(axes, "time spent, over that of FNODE's run")


def main() -> None:
    """Draw the stored result."""
    DRAWING.write_text(drawn(read(RESULT)), encoding="utf-8")


if __name__ == "__main__":
    run_program(main)
