"""Draw the gain from preferences against the student's distance: answers that pass, over KL(student || sft).

python -m benchmarks.studies.plot_frontier benchmarks/results/align_distil.json docs/_static/align_distil.svg
python -m benchmarks.studies.plot_frontier benchmarks/results/align_distil.json --table
"""

import argparse
import dataclasses
import itertools
import json
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.studies.free_places import free_places
from benchmarks.studies.kept_study import NOTHING, by_answer, by_step, markdown, mean, measured, percent, rows
from jaxkd.report import svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DRAWINGS = Path(__file__).parents[2] / "docs" / "_static"

PASSED = "generations/code/passed"
DISTANCE = "generations/sequence_kl"
LENGTH = "generations/length"
ACCURACY = "preference_accuracy/reward_accuracy"

LONG = 40
"""Tokens, about as many as in DPO's answers.  A short answer passes more easily, so learning brevity helps to pass."""

START = "sft"
"""Row that all others began from, and to which the distances are measured."""

METHODS = {
    "dpo": "DPO: β",
    "simpo": "SimPO: β",
    "constant": "constant: strength",
    "adaptive": "adaptive: scale",
    "constant_on_policy": "constant, on-policy: strength",
    "adaptive_on_policy": "adaptive, on-policy: scale",
}
"""Methods that are drawn, in the order of the colours, and the meaning of the numbers at their points.  `reverse_dpo`,
which learns the opposite, is only in the table."""

_ROW = re.compile(r"(dpo|simpo|constant|adaptive)_(\d+(?:\.\d+)?)(_on_policy)?")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write `docs/_static/STUDY.svg`, or print a table."""
    parser = argparse.ArgumentParser(description="Draw the frontier of passed answers and distance of a kept study.")
    parser.add_argument("kept", type=Path, help="benchmarks/results/STUDY.json")
    parser.add_argument("to", type=Path, nargs="?", help="default: docs/_static/STUDY.svg")
    parser.add_argument("--table", action="store_true", help="print the figures as Markdown, and draw nothing")
    given = parser.parse_args(arguments)
    kept = json.loads(given.kept.read_text())
    if given.table:
        print(table(kept))
        return
    path = given.to or DRAWINGS / f"{given.kept.stem}.svg"
    path.write_text(drawn(kept))
    print(path)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """One row."""

    method: str
    """Key in `METHODS`, or `START`."""
    parameter: float
    """Parameter of the method; 0 for `START`."""
    distances: tuple[float, ...]
    """KL(student || sft) in nats per answer, by seed."""
    passed: tuple[float, ...]
    """Share of the answers that pass, by seed."""

    @property
    def mean(self) -> tuple[float, float]:
        """Mean distance and mean share."""
        return statistics.fmean(self.distances), statistics.fmean(self.passed)


def method(row: str) -> tuple[str, float] | None:
    """Return the method in a row's label, one of `METHODS`, and its parameter; None for any other row."""
    found = _ROW.fullmatch(row)
    return None if found is None else (found[1] + (found[3] or ""), float(found[2]))


def points(kept: Mapping[str, Any]) -> list[Point]:
    """Return the measured rows, by method and parameter, with the seeds at which they were measured.

    Raises:
        ValueError: no row was measured.
    """
    found = []
    for row in rows(kept):
        passed, distances = measured(kept, PASSED, row), measured(kept, DISTANCE, row)
        if row == START:
            distances = dict.fromkeys(passed, 0.0)
        known = (START, 0.0) if row == START else method(row)
        seeds = [seed for seed in passed if seed in distances]
        if known is not None and seeds:
            columns = (tuple(values[seed] for seed in seeds) for values in (distances, passed))
            found.append(Point(method=known[0], parameter=known[1], distances=next(columns), passed=next(columns)))
    if not found:
        raise ValueError(
            f"kept must hold rows with {PASSED!r} and {DISTANCE!r}, got {', '.join(rows(kept)) or 'none'}. Keep a "
            "study of configs/align_distil.py."
        )
    order = [START, *METHODS]
    return sorted(found, key=lambda point: (order.index(point.method), point.parameter))


def table(kept: Mapping[str, Any]) -> str:
    """Return every row of the study as Markdown: its passing share, its distance, and further metrics."""
    cells = []
    for row in rows(kept):
        passed = measured(kept, PASSED, row)
        distance, length = mean(measured(kept, DISTANCE, row)), mean(measured(kept, LENGTH, row))
        at_floor = {
            seed: statistics.fmean(steps.values())
            for seed, steps in by_step(kept, "training", "train/at_floor", row).items()
        }
        cells.append(
            (
                f"`{row}`",
                percent(mean(passed)),
                ", ".join(f"{100 * passed[seed]:.1f}" for seed in sorted(passed, key=int)) or NOTHING,
                NOTHING if distance is None else f"{distance:.2f}",
                NOTHING if length is None else f"{length:.1f}",
                *map(percent, passed_by_length(kept, row)),
                percent(mean(measured(kept, ACCURACY, row))),
                percent(mean(at_floor)),
            )
        )
    columns = (
        *("row", "passed", "by seed", "KL(student ‖ sft)", "tokens", f"passed, up to {LONG} tokens", "passed, longer"),
        *("accuracy on pairs", "tokens at the floor"),
    )
    return markdown(columns, cells)


def passed_by_length(kept: Mapping[str, Any], row: str) -> tuple[float | None, float | None]:
    """Return the passing share of the answers of up to `LONG` tokens, and that of the longer ones, over all seeds.

    The prompts with long answers differ from row to row.
    """
    passed, lengths = by_answer(kept, PASSED, row), by_answer(kept, LENGTH, row)
    seeds = passed.keys() & lengths.keys()
    answers = [pair for seed in seeds for pair in zip(passed[seed], lengths[seed], strict=True)]
    short, long = ([one for one, length in answers if (length > LONG) == longer] for longer in (False, True))
    return statistics.fmean(short) if short else None, statistics.fmean(long) if long else None


def drawn(kept: Mapping[str, Any]) -> str:
    """Return the points as an SVG file; distances on an axis of square roots, since small ones lie close together.

    Raises:
        ValueError: as `points`.
    """
    found = points(kept)
    figure, axes = svg.axes(width=10.0, height=5.0, left=0.62, right=3.05, bottom=0.5, top=0.4)
    _scale(axes, found)
    for name in dict.fromkeys(point.method for point in found):
        own = [point for point in found if point.method == name]
        for point in own:
            if len(point.passed) > 1:
                seeds = (point.distances, point.passed)
                axes.plot(*seeds, "o", color=_color(name), markersize=4.5, markeredgewidth=0, alpha=0.35, clip_on=False)
        means = zip(*(point.mean for point in own), strict=True)
        axes.plot(*means, color=_color(name), linewidth=1.6, marker="o", markersize=6.5, label=name, clip_on=False)
    _name(axes, found)
    handles = [line for line in axes.lines if line.get_label() in METHODS]
    figure.legend(
        handles,
        [METHODS[str(line.get_label())] for line in handles],
        loc="upper left",
        bbox_to_anchor=(0.71, 0.94),
        frameon=False,
        handlelength=1.2,
        labelcolor="linecolor",
        fontsize=svg.FONT_PT,
    )
    axes.set_xlabel("KL(student ‖ sft), nats per answer", color=svg.MUTED, loc="right", fontsize=svg.FONT_PT)
    axes.annotate(
        "the student's own answers that pass the checker",
        (0, 1),
        (-30, 10),
        "axes fraction",
        "offset points",
        va="bottom",
        color=svg.MUTED,
    )
    figures = "; ".join(f"{_title(one)} {percent(one.mean[1])} at {one.mean[0]:.3g} nats" for one in found)
    return svg.document(svg.element(figure, f"Answers that pass over KL(student ‖ sft): {figures}"))


def _scale(axes: "Axes", found: Sequence[Point]) -> None:
    from matplotlib import ticker

    farthest = max(max(point.distances) for point in found) or 1.0
    shares = [share for point in found for share in point.passed]
    margin = 0.08 * (max(shares) - min(shares) or 0.1)
    axes.set_xscale("function", functions=(lambda value: np.sqrt(np.maximum(value, 0)), np.square))
    axes.set_xlim(0, 1.05 * farthest)
    axes.set_ylim(max(min(shares) - margin, 0), min(max(shares) + margin, 1))
    ticks = ticker.LogLocator(subs=(1.0, 2.0, 5.0)).tick_values(farthest / 100, farthest)
    axes.xaxis.set_major_locator(ticker.FixedLocator([0, *(tick for tick in ticks if farthest / 100 <= tick)]))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.yaxis.set_major_locator(ticker.MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    axes.grid(color=svg.RULE, linewidth=0.8)


def _name(axes: "Axes", found: Sequence[Point]) -> None:
    """Write the parameter beside each point, where it hides no other and little of the lines."""
    from matplotlib.transforms import Affine2D

    to_points = axes.transData + Affine2D().scale(72 / axes.figure.dpi)
    names = [_text(point) for point in found]
    sizes = np.array([(72 * svg.CHARACTER_IN * len(name), svg.FONT_PT) for name in names])
    dots = to_points.transform([point.mean for point in found])
    lines = [
        np.linspace(start, end, 24)
        for (one, start), (other, end) in itertools.pairwise(zip(found, dots, strict=True))
        if one.method == other.method
    ]
    places = free_places(dots, sizes, marks=np.concatenate([np.empty((0, 2)), *lines]), gap=6.0)
    for point, name, place in zip(found, names, places, strict=True):
        axes.annotate(
            name,
            point.mean,
            tuple(place),
            textcoords="offset points",
            ha="center",
            va="center",
            color=_color(point.method),
            weight="bold",
            fontsize=svg.FONT_PT,
        )


def _color(name: str) -> str:
    return svg.INK if name == START else svg.color(list(METHODS).index(name))


def _text(point: Point) -> str:
    return START if point.method == START else f"{point.parameter:g}"


def _title(point: Point) -> str:
    return START if point.method == START else f"{point.method} {point.parameter:g}"


if __name__ == "__main__":
    main()
