"""`python -m benchmarks.losses.plot_shared_head`: draw where hidden vectors end, with two heads and with one.

Trains them, which takes seconds, and writes `docs/_static/shared_head.svg`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.losses.plot_losses_memory import save
from benchmarks.losses.shared_head import DIVERGENCES, HeadOf, train
from jaxkd.report.ink import INK, MUTED, PAPER, RULE
from jaxkd.report.svg import PALETTE
from jaxkd.runtime.program import run_program

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAWING = Path(__file__).parents[2] / "docs" / "_static" / "shared_head.svg"
DRAWN, SEED = "forward KL", 0

TITLES: dict[HeadOf, str] = {"teacher": "a head each", "student": "one head, the student's"}


def draw() -> "Figure":
    """Draw a panel for each: the teacher's vectors, the student's at the end, and a line between each pair."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(7.2, 3.9), facecolor=PAPER)
    panels = drawing.subplots(1, len(TITLES), sharex=True, sharey=True)
    drawing.subplots_adjust(left=0.03, right=0.99, bottom=0.04, top=0.8, wspace=0.04)
    for axes, (head, title) in zip(panels, TITLES.items(), strict=True):
        outcome = train(DIVERGENCES[DRAWN], head, SEED)
        axes.set_facecolor(PAPER)
        for own, other in zip(outcome.hiddens, outcome.teacher, strict=True):
            axes.plot(*zip(own, other, strict=True), color=RULE, linewidth=0.8, zorder=1)
        axes.scatter(*outcome.teacher.T, s=16, color=MUTED, zorder=2)
        axes.scatter(*outcome.hiddens.T, s=16, color=PALETTE[0], zorder=3)
        said = f"{outcome.last:.2g} nats apart; distance {outcome.distance:.2g}, structure {outcome.structure:.2g}"
        axes.set_title(f"{title}\n", loc="left", fontsize=10, color=INK, weight="bold")
        axes.text(0, 1.02, said, transform=axes.transAxes, fontsize=8.5, color=MUTED)
        axes.set(xticks=[], yticks=[], aspect="equal")
        for side in axes.spines.values():
            side.set_color(RULE)
    for height, name, color in ((0.1, "teacher", MUTED), (0.04, "student", PALETTE[0])):
        panels[0].text(0.97, height, name, transform=panels[0].transAxes, ha="right", color=color, weight="bold")
    title = f"Hidden vectors of two dimensions, after training towards the teacher's distributions: {DRAWN}"
    drawing.text(0.03, 0.94, title, color=INK, fontsize=10)
    return drawing


def main() -> None:
    """Train and draw."""
    run_program(lambda: save(draw(), DRAWING))


if __name__ == "__main__":
    main()
