"""Draw the study of drawn pairs: average precision of each model by condition, and by the offset of the images.

python -m benchmarks.detection.plot_rgbt models benchmarks/results/detection.json docs/_static/rgbt_models.svg
python -m benchmarks.detection.plot_rgbt offsets benchmarks/results/detection.json docs/_static/rgbt_offsets.svg
python -m benchmarks.detection.plot_rgbt table benchmarks/results/detection.json
"""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from benchmarks.studies.kept_figures import Estimate, intervals, name_curves, words
from configs import rgbt
from jaxkd.data.images.scenes.conditions import Condition
from jaxkd.report import svg

ROW = 0.46
"""Height of a row, in inches."""

GAP = 0.018
"""Least distance between the names of two curves, in AP50."""

ALL = "all"
"""Name of the figures over all conditions."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Write an SVG file, or print a table."""
    parser = argparse.ArgumentParser(description="Draw the study of drawn pairs of images.")
    parser.add_argument("what", choices=("models", "offsets", "table"))
    parser.add_argument("kept", type=Path, help="JSON of `python -m benchmarks detection`")
    parser.add_argument("to", type=Path, nargs="?", help="file to write, of a drawing")
    given = parser.parse_args(arguments)
    kept = json.loads(given.kept.read_text())
    if given.what == "table" or given.to is None:
        print(table(by_condition(kept)))
        return
    given.to.write_text(models(by_condition(kept)) if given.what == "models" else offsets(by_offset(kept)))
    print(given.to)


def by_condition(kept: Mapping[str, Any]) -> dict[str, dict[str, Estimate]]:
    """Return the figures of each model by condition, and over all images, in the order of the study.

    Raises:
        ValueError: no figures of the study.
    """
    rows = intervals(kept)
    found = {
        stage.name: {
            condition: rows[figure]
            for condition in (ALL, *get_args(Condition))
            if (figure := f"{stage.name}: AP50" + ("" if condition == ALL else f", {condition}")) in rows
        }
        for stage in rgbt.get_config().stages
    }
    found = {name: figures for name, figures in found.items() if figures}
    if not found:
        raise ValueError("kept must hold average precisions of the study of drawn pairs, got none. Run it whole.")
    return found


def by_offset(kept: Mapping[str, Any]) -> dict[str, dict[float, Estimate]]:
    """Return the figures of each model by the offset of the visible image, in pixels of the annotated frames."""
    found: dict[str, dict[float, Estimate]] = {}
    for figure, values in intervals(kept).items():
        if matched := re.fullmatch(r"(\w+): AP50, visible image moved by (\S+) px", figure):
            found.setdefault(matched[1], {})[float(matched[2])] = values
    return found


def table(found: Mapping[str, Mapping[str, Estimate]]) -> str:
    """Return the figures as Markdown."""
    conditions = (ALL, *get_args(Condition))
    lines = [f"| model | {' | '.join(conditions)} |", "|---|" + "---|" * len(conditions)]
    for name, figures in found.items():
        cells = [f"{value:.3f} ({low:.3f} to {high:.3f})" for value, low, high in map(figures.__getitem__, conditions)]
        lines.append(f"| {words(name)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def models(found: Mapping[str, Mapping[str, Estimate]]) -> str:
    """Return the figures by model as an SVG file: all conditions with intervals, each condition as a point."""
    figure, axes = svg.axes(width=9.0, height=ROW * (len(found) + 2.3), left=1.6, right=0.3, bottom=0.5, top=0.4)
    for place, (_, figures) in enumerate(reversed(list(found.items()))):
        for number, condition in enumerate(get_args(Condition)):
            value, low, high = figures[condition]
            axes.plot([low, high], [place, place], color=svg.color(number), linewidth=1.2, alpha=0.5)
            axes.plot([value], [place], "o", color=svg.color(number), markersize=5)
        value, low, high = figures[ALL]
        axes.plot([low, high], [place, place], color=svg.INK, linewidth=3, solid_capstyle="round")
        axes.plot([value], [place], "D", color=svg.INK, markersize=7)
    first = next(iter(found.values()))
    for number, condition in enumerate((*get_args(Condition), ALL)):
        color = svg.INK if condition == ALL else svg.color(number)
        axes.annotate(
            condition,
            (first[condition][0], len(found) - (0.05 if condition == ALL else 0.45)),  # which lies among them
            color=color,
            ha="center",
            va="bottom",
            fontsize=svg.FONT_PT,
        )
    axes.set_yticks(range(len(found)), [words(name) for name in reversed(list(found))], fontsize=svg.FONT_PT)
    axes.set_ylim(-0.6, len(found) + 0.2)
    axes.grid(axis="x", color=svg.RULE, linewidth=0.8)
    axes.set_xlabel("AP50, with 95 % intervals over images and seeds", color=svg.MUTED, loc="right")
    said = "; ".join(f"{words(name)} {figures[ALL][0]:.3f}" for name, figures in found.items())
    return svg.document(svg.element(figure, f"Average precision of each model by condition. All: {said}"))


def offsets(found: Mapping[str, Mapping[float, Estimate]]) -> str:
    """Return the figures by offset as an SVG file, a curve a model."""
    figure, axes = svg.axes(width=7.2, height=3.4, left=0.65, right=1.2, bottom=0.5, top=0.2)
    for number, figures in enumerate(found.values()):
        at = sorted(figures)
        values, lows, highs = zip(*(figures[offset] for offset in at), strict=True)
        axes.fill_between(at, lows, highs, color=svg.color(number), alpha=0.12, linewidth=0)
        axes.plot(at, values, "o-", color=svg.color(number), linewidth=2, markersize=5)
    name_curves(
        axes,
        {name: (max(figures), figures[max(figures)][0]) for name, figures in found.items()},
        gap=GAP,
        colours={name: svg.color(number) for number, name in enumerate(found)},
    )
    axes.set_xticks(list(rgbt.OFFSETS))
    axes.grid(color=svg.RULE, linewidth=0.8)
    axes.set_xlabel("pixels by which the visible image is moved", color=svg.MUTED, loc="right")
    axes.set_ylabel("AP50", color=svg.MUTED, loc="top")
    said = "; ".join(
        f"{words(name)} {', '.join(f'{figures[offset][0]:.3f}' for offset in sorted(figures))}"
        for name, figures in found.items()
    )
    moved = ", ".join(f"{offset:g}" for offset in rgbt.OFFSETS)
    return svg.document(
        svg.element(figure, f"Average precision where the visible image is moved by {moved} pixels: {said}")
    )


if __name__ == "__main__":
    main()
