"""`python -m benchmarks.losses.plot_losses_memory`: draw temporary memory against the size of the vocabulary.

Reads `benchmarks/results/losses_memory.json` and writes `docs/_static/losses_memory.svg`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.losses.loss_step import Implementation
from benchmarks.losses.losses_memory import DRAWN, TOKENS, VOCABULARIES, figure
from benchmarks.row import Measured
from benchmarks.runner import read
from jaxkd.report.ink import INK, MUTED, PAPER, RULE
from jaxkd.report.svg import PALETTE
from jaxkd.runtime.program import run_program

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "benchmarks" / "results" / "losses_memory.json"
DRAWING = ROOT / "docs" / "_static" / "losses_memory.svg"

LABELS: Mapping[Implementation, str] = {
    "reference": "all logits at once",
    "token_chunk": "token_chunk",
    "vocab_tile": "vocab_tile",
}
"""Labels of the curves, by implementation."""


def curves(measured: Measured) -> dict[Implementation, list[float]]:
    """Return the GiB at `VOCABULARIES`, by implementation.

    Raises:
        ValueError: rows are missing, as after --quick.
    """
    values = {row.figure: row.value for row in measured.rows}
    wanted: dict[Implementation, list[str]] = {
        name: [figure(DRAWN, name, size) for size in VOCABULARIES] for name in LABELS
    }
    missing = [row for rows in wanted.values() for row in rows if row not in values]
    if missing:
        raise ValueError(
            f"the result must have a row for every vocabulary, got none for {missing[0]!r}. Measure it without --quick."
        )
    return {name: [values[row] for row in rows] for name, rows in wanted.items()}


def draw(gibibytes: Mapping[Implementation, list[float]]) -> "Figure":
    """Draw on two logarithmic axes: growth with the vocabulary is a slope, and a factor is a distance."""
    from matplotlib import ticker
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(7.2, 3.6), facecolor=PAPER)
    axes = drawing.add_axes((0.085, 0.15, 0.64, 0.72), facecolor=PAPER)
    axes.set(xscale="log", yscale="log")
    for color, (name, values) in zip(PALETTE, gibibytes.items(), strict=False):
        axes.plot(VOCABULARIES, values, color=color, linewidth=1.8, marker="o", markersize=4, clip_on=False)
        label = f"{LABELS[name]}, {values[-1]:.2g} GiB"
        axes.annotate(
            label,
            (VOCABULARIES[-1], values[-1]),
            (9, 0),
            textcoords="offset points",
            va="center",
            color=color,
            weight="bold",
        )
    axes.set_title(
        f"Temporary memory in GiB: {DRAWN} and its gradient, {TOKENS:,} tokens",
        loc="left",
        fontsize=10,
        color=INK,
        pad=12,
    )
    axes.set_xlabel("tokens in the vocabulary", color=MUTED, loc="right", labelpad=3)
    axes.xaxis.set_major_locator(ticker.LogLocator(base=2))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1.0,)))
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(ticker.NullLocator())
    axes.grid(axis="y", color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, pad=6, labelcolor=MUTED)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(RULE)
    return drawing


def save(drawing: "Figure", path: Path) -> None:
    """Write an SVG whose text stays text, the same bytes for the same figures."""
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "losses_memory"}):
        drawing.savefig(path, format="svg", metadata={"Date": None})


def main() -> None:
    """Draw the stored result."""
    run_program(lambda: save(draw(curves(read(RESULT))), DRAWING))


if __name__ == "__main__":
    main()
