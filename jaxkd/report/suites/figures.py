"""Picture of a suite's levels: every metric with its interval, beside chance."""

from collections.abc import Sequence

from jaxkd.report import svg
from jaxkd.report.figures import PAGE
from jaxkd.report.suites.rows import ReportRow

_ROW_IN = 0.3
"""Height of a metric of one model, in inches."""


def levels(rows: Sequence[ReportRow], labels: Sequence[str], *, width: float = PAGE) -> str:
    """Draw the metrics of each level: a dot and its interval per model, and a tick at chance.

    Args:
        rows: rows of the report, of which those without a value are left out.
        labels: name of each model.
        width: width in inches.
    """
    shown = [row for row in rows if any(one is not None for one in row.results)]
    names = [f"{row.task.id}  {row.title}" for row in shown]
    left = 0.25 + svg.CHARACTER_IN * max(map(len, (*names, *(row.task.level for row in shown))), default=0)
    places, headings, place = [], [], 0.0
    for number, row in enumerate(shown):
        if number == 0 or row.task.level != shown[number - 1].task.level:
            place += 0.5 if number else 0.0
            headings.append((place, row.task.level or "tasks"))
            place += 1.0
        places.append(place)
        place += 0.45 + 0.55 * len(labels)
    figure, axes = svg.axes(width=width, height=0.6 + _ROW_IN * place, left=left, right=0.3, bottom=0.5, top=0.05)
    for row, top in zip(shown, places, strict=True):
        for model, result in enumerate(row.results):
            height = top + 0.55 * model
            if result is not None:
                ends = [result.interval.low, result.interval.high]
                axes.plot(ends, [height] * 2, color=svg.color(model), linewidth=2.2, solid_capstyle="round")
                axes.plot(
                    [result.interval.estimate], [height], "o", color=svg.color(model), markersize=6, clip_on=False
                )
        if row.chance is not None:
            bottom = top + 0.55 * (len(labels) - 1)
            axes.plot([row.chance] * 2, [top - 0.35, bottom + 0.35], color=svg.MUTED, linewidth=1.2)
    ticks = [top + 0.275 * (len(labels) - 1) for top in places]
    axes.set_yticks(ticks, names, color=svg.INK)
    for height, level in headings:
        axes.annotate(
            level,
            (0, height),
            (-left * 72 + 4, 0),
            textcoords="offset points",
            va="center",
            color=svg.MUTED,
            weight="bold",
            annotation_clip=False,
        )
    axes.set_ylim(place, -0.6)
    axes.set_xlim(0, 100)
    axes.grid(axis="x", color=svg.RULE, linewidth=0.8)
    axes.set_xlabel("percent", color=svg.MUTED, loc="right", labelpad=1, fontsize=svg.FONT_PT)
    values = "; ".join(
        f"{name} {label} {one.interval.estimate:.1f}"
        for name, row in zip(names, shown, strict=True)
        for label, one in zip(labels, row.results, strict=True)
        if one is not None
    )
    return svg.element(figure, f"Metrics by level, in percent: {values}", variant=width)
