"""Draw the study of one view that learns from four: errors of all models, and errors by distance from the centre.

python -m benchmarks.hands.plot_one_view models benchmarks/results/hands.json docs/_static/hands_models.svg
python -m benchmarks.hands.plot_one_view distances benchmarks/results/hands.json docs/_static/hands_distances.svg
python -m benchmarks.hands.plot_one_view table benchmarks/results/hands.json
"""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.studies.kept_figures import Estimate, intervals, name_curves, words
from configs import hands
from jaxkd.evals.vision.hand_scores import EDGE
from jaxkd.report import svg

ROW = 0.42
"""Height of a row, in inches."""
GAP = 4.0
"""Least distance between the names of two curves, in mm."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Write an SVG file, or print tables."""
    parser = argparse.ArgumentParser(description="Draw the study of one view that learns from four.")
    parser.add_argument("what", choices=("models", "distances", "table"))
    parser.add_argument("kept", type=Path, help="JSON of `python -m benchmarks hands`")
    parser.add_argument("to", type=Path, nargs="?", help="file to write, of a drawing")
    given = parser.parse_args(arguments)
    kept = json.loads(given.kept.read_text())
    if given.what == "table" or given.to is None:
        print(table(kept))
        return
    draw = models(by_model(kept)) if given.what == "models" else distances(by_distance(kept))
    given.to.write_text(draw)
    print(given.to)


def by_model(kept: Mapping[str, Any]) -> dict[str, Estimate]:
    """Return the error of each model of the study, in its order: in one view, over all images.

    Raises:
        ValueError: no figures of the study.
    """
    rows = intervals(kept)
    named = {stage.name: f"{stage.name}: error of the joints" for stage in hands.get_config().stages}
    found = {name: rows[figure] for name, figure in named.items() if figure in rows}
    if not found:
        raise ValueError("kept must hold errors of the study of hands, got none. Run it whole.")
    return found


def by_rule(kept: Mapping[str, Any]) -> dict[str, Estimate]:
    """Return the error of the teacher by rule of fusion, after those of its single views."""
    matches = {figure: re.fullmatch(r"teacher, (.+): error of the joints", figure) for figure in intervals(kept)}
    return {matched[1]: intervals(kept)[figure] for figure, matched in matches.items() if matched}


def by_distance(kept: Mapping[str, Any]) -> dict[str, dict[tuple[float, float], Estimate]]:
    """Return the error of each model by the distance of a crop from the centre of its image, in widths."""
    found: dict[str, dict[tuple[float, float], Estimate]] = {}
    for figure, values in intervals(kept).items():
        if matched := re.fullmatch(r"(\w+): error from (\S+) to (\S+) widths", figure):
            found.setdefault(matched[1], {})[float(matched[2]), float(matched[3])] = values
    return found


def table(kept: Mapping[str, Any]) -> str:
    """Return the errors by rule and by model as two tables in Markdown."""
    rules = [f"| {name} | {_spelt(error)} |" for name, error in by_rule(kept).items()]
    rows = intervals(kept)
    lines = []
    for name, error in by_model(kept).items():
        zones = (rows[f"{name}: error within a third of the width from the centre"], rows[f"{name}: error {_BEYOND}"])
        lines.append(f"| {words(name)} | {_spelt(error)} | {' | '.join(map(_spelt, zones))} |")
    return "\n".join(
        (
            "| teacher | error, mm |\n|---|---|",
            *rules,
            "\n| one view | error, mm | near the centre | beyond a third of the width |\n|---|---|---|---|",
            *lines,
        )
    )


def models(found: Mapping[str, Estimate]) -> str:
    """Return the errors by model as an SVG file, with intervals."""
    figure, axes = svg.axes(width=7.2, height=ROW * (len(found) + 2), left=1.4, right=0.7, bottom=0.5, top=0.1)
    for place, (name, (value, low, high)) in enumerate(reversed(list(found.items()))):
        ink = svg.color(_colour(name))
        axes.plot([low, high], [place, place], color=ink, linewidth=3, solid_capstyle="round")
        axes.plot([value], [place], "o", color=ink, markersize=7)
        axes.annotate(
            f"{value:.1f}",
            (high, place),
            xytext=(6, 0),
            textcoords="offset points",
            color=svg.INK,
            va="center",
            fontsize=svg.FONT_PT,
            annotation_clip=False,
        )
    axes.set_yticks(range(len(found)), [words(name) for name in reversed(list(found))], fontsize=svg.FONT_PT)
    axes.set_ylim(-0.6, len(found) - 0.4)
    axes.set_xlim(left=0)
    axes.grid(axis="x", color=svg.RULE, linewidth=0.8)
    axes.set_xlabel("error of the joints, mm, with 95 % intervals over images and seeds", color=svg.MUTED, loc="right")
    said = "; ".join(f"{words(name)} {error[0]:.1f}" for name, error in found.items())
    return svg.document(svg.element(figure, f"Error of the joints in one view, in mm: {said}"))


def distances(found: Mapping[str, Mapping[tuple[float, float], Estimate]]) -> str:
    """Return the errors by distance as an SVG file, a curve for each model."""
    figure, axes = svg.axes(width=7.2, height=3.6, left=0.65, right=1.3, bottom=0.5, top=0.2)
    for name, errors in found.items():
        at = [(low + high) / 2 for low, high in errors]
        values, lows, highs = zip(*errors.values(), strict=True)
        ink = svg.color(_colour(name))
        axes.fill_between(at, lows, highs, color=ink, alpha=0.12, linewidth=0)
        axes.plot(at, values, "o-", color=ink, linewidth=2, markersize=5)
    name_curves(
        axes,
        {name: (sum(max(errors)) / 2, errors[max(errors)][0]) for name, errors in found.items()},
        gap=GAP,
        colours={name: svg.color(_colour(name)) for name in found},
    )
    axes.axvline(EDGE, color=svg.RULE, linewidth=0.8)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color=svg.RULE, linewidth=0.8)
    axes.set_xlabel("distance of the crop from the centre of its image, in widths of it", color=svg.MUTED, loc="right")
    axes.set_ylabel("mm", color=svg.MUTED, loc="top")
    said = "; ".join(
        f"{words(name)} {', '.join(f'{error[0]:.1f}' for error in errors.values())}" for name, errors in found.items()
    )
    return svg.document(svg.element(figure, f"Error of the joints by distance from the centre, in mm: {said}"))


_BEYOND = "beyond a third of the width"


def _colour(name: str) -> int:
    return [stage.name for stage in hands.get_config().stages].index(name)


def _spelt(error: Estimate) -> str:
    return f"{error[0]:.1f} ({error[1]:.1f} to {error[2]:.1f})"


if __name__ == "__main__":
    main()
