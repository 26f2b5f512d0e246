"""Draw the Dice coefficients of the study of lesions: a row a network, ordered by parameters, a colour a level.

python -m benchmarks.segmentation.plot_lesions benchmarks/results/segmentation.json docs/_static/lesions.svg
python -m benchmarks.segmentation.plot_lesions benchmarks/results/segmentation.json --table
"""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import jax

from configs import lesions
from jaxkd.data.images.lesions.appearance import Severity
from jaxkd.report import svg
from jaxkd.training import Train
from jaxkd.vision.recipe import NetworkRecipe

ROW = 0.42
"""Height of a row, in inches."""

Figure = tuple[float, float, float]
"""Dice, and the ends of its interval."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Write an SVG file, or print a table."""
    parser = argparse.ArgumentParser(description="Draw the Dice coefficients of the study of lesions.")
    parser.add_argument("kept", type=Path, help="JSON of `python -m benchmarks segmentation`")
    parser.add_argument("to", type=Path, nargs="?", help="file to write")
    parser.add_argument("--table", action="store_true", help="print the figures as Markdown, and draw nothing")
    given = parser.parse_args(arguments)
    found = figures(json.loads(given.kept.read_text()))
    if given.table or given.to is None:
        print(table(found))
    else:
        given.to.write_text(drawn(found))
        print(given.to)


def parameters() -> dict[str, int]:
    """Return the number of parameters of each network of the study."""
    return {
        stage.name: sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(stage.recipe.network.abstract()[0]))
        for stage in lesions.get_config("full").stages
        if isinstance(stage, Train) and isinstance(stage.recipe, NetworkRecipe)
    }


def figures(kept: Mapping[str, Any]) -> dict[str, dict[str, Figure]]:
    """Return the figures of each network by level, and over all images under "all".

    Raises:
        ValueError: no figures of the study.
    """
    rows = {row["figure"]: row for row in kept["rows"]}
    found: dict[str, dict[str, Figure]] = {}
    for name in sorted(parameters(), key=lambda name: parameters()[name]):
        for level in ("all", *get_args(Severity)):
            row = rows.get(f"{name}: Dice" + ("" if level == "all" else f", {level}"))
            if row is not None:
                found.setdefault(name, {})[level] = (row["value"], *row["interval"])
    if not found:
        raise ValueError("kept must hold Dice coefficients of the study of lesions, got none. Run it without --quick.")
    return found


def table(found: Mapping[str, Mapping[str, Figure]]) -> str:
    """Return the figures as Markdown."""
    levels, counts = ("all", *get_args(Severity)), parameters()
    lines = [f"| network | parameters | {' | '.join(levels)} |", "|---|---|" + "---|" * len(levels)]
    for name, by_level in found.items():
        cells = [f"{value:.3f} ({low:.3f} to {high:.3f})" for value, low, high in (by_level[one] for one in levels)]
        lines.append(f"| {name.replace('_', ' ')} | {counts[name]:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def drawn(found: Mapping[str, Mapping[str, Figure]]) -> str:
    """Return the figures as an SVG file."""
    counts = parameters()
    figure, axes = svg.axes(width=9.0, height=ROW * (len(found) + 1.6), left=2.75, right=0.3, bottom=0.5, top=0.35)
    for number, level in enumerate(get_args(Severity)):
        for place, (name, by_level) in enumerate(reversed(found.items())):
            del name
            value, low, high = by_level[level]
            axes.plot([low, high], [place, place], color=svg.color(number), linewidth=2.4, solid_capstyle="round")
            axes.plot([value], [place], "o", color=svg.color(number), markersize=7, label=level)
        first = next(iter(found.values()))[level][0]
        axes.annotate(
            level, (first, len(found) - 0.45), color=svg.color(number), ha="center", va="bottom", fontsize=svg.FONT_PT
        )
    names = [f"{name.replace('_', ' ')}  {counts[name]:,}" for name in reversed(found)]
    axes.set_yticks(range(len(names)), names, fontsize=svg.FONT_PT)
    axes.set_ylim(-0.6, len(names) - 0.3)
    axes.grid(axis="x", color=svg.RULE, linewidth=0.8)
    axes.set_xlabel("Dice, with 95 % intervals over images and seeds", color=svg.MUTED, loc="right")
    said = "; ".join(f"{name} {by_level['all'][0]:.3f}" for name, by_level in found.items())
    return svg.document(svg.element(figure, f"Dice coefficients of drawn lesions by network and level. All: {said}"))


if __name__ == "__main__":
    main()
