"""Summary of a study for the terminal."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from jaxkd.evals.comparison import Comparison
from jaxkd.evals.headline import Headline
from jaxkd.evals.start_comparison import StartComparison
from jaxkd.report import cells
from jaxkd.report.stages import StageReport, all_columns, best, by_label
from jaxkd.report.start import answers, rows

if TYPE_CHECKING:
    from rich.table import Table

_WIDEST = 1_000
"""Width of the table in characters if the output is not a terminal."""


def print_summary(
    stages: Sequence[StageReport],
    comparisons: Sequence[Comparison],
    *,
    headline: Headline,
    against: StartComparison | None = None,
    file: TextIO | None = None,
) -> None:
    """Print a table with the headline figure of each model, and a sentence for each comparison.

    A study that compares its models with its start has a second table, with several measures, what is wrong with the
    models' texts, and answers side by side.

    Args:
        stages: stages in the order of the table.
        comparisons: pairs of models, reported below the table.
        headline: figure by which the models are compared.
        against: the models beside the start of the study.
        file: output stream; None is standard output.

    Raises:
        ValueError: no stages.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    models = by_label(stages, headline)
    first = best(models)
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2))
    table.add_column("model", no_wrap=True)
    table.add_column(headline.unit, justify="right", no_wrap=True)
    named = cells.named([one for one in all_columns(models) if one.on_terminal])
    further = cells.filled([("by seed", cells.seeds), *named, ("steps", cells.steps)], models)
    for name, _ in further:
        table.add_column(name, justify="right", no_wrap=True)
    for model in models:
        table.add_row(
            Text(model.label),
            Text(cells.headline(model), style="bold green" if model is first else "bold"),
            *(cell(model) for _, cell in further),
        )
    console = Console(file=file, highlight=False, markup=False)
    # A file has no width limit: never cut a column.
    wide = console if console.is_terminal else Console(file=file, highlight=False, markup=False, width=_WIDEST)
    wide.print(table)
    for comparison in comparisons:
        console.print()
        console.print(Text(str(comparison)))
    if against is not None:
        console.print()
        wide.print(_measures(against))
        wrong = rows.findings(against)
        if wrong:
            console.print()
        for label, lines in wrong:
            for line in lines or ["no finding"]:
                console.print(f"{label}: {line}", soft_wrap=True)
        start_first = sorted(models, key=lambda model: model.label != against.start)
        answers.print_answers(start_first, file or sys.stdout)


def _measures(comparison: StartComparison) -> "Table":
    """Table with a row for each measure and model; the start is a measure's first row."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2))
    # A narrow terminal breaks words and cuts no number.
    table.add_column(f"beside {comparison.start}")
    table.add_column("model")
    for name in ("value", "difference, 95 % interval"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("in words")
    for group in rows.groups(comparison):
        for place, row in enumerate(group.rows):
            style = "bold" if row.is_clear else "dim"
            table.add_row(
                "" if place else Text(f"{group.name} ({group.unit})"),
                Text(row.label),
                row.value,
                Text(row.difference, style=style),
                Text(row.verdict, style=style),
            )
    return table
