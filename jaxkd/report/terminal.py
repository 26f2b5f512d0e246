"""Summary of a study for the terminal."""

from collections.abc import Sequence
from typing import TextIO

from jaxkd.evals.comparison import Comparison
from jaxkd.evals.headline import Headline
from jaxkd.report import cells
from jaxkd.report.stages import StageReport, all_columns, best, by_label

_WIDEST = 1_000
"""Width of the table in characters if the output is not a terminal."""


def print_summary(
    stages: Sequence[StageReport],
    comparisons: Sequence[Comparison],
    *,
    headline: Headline,
    file: TextIO | None = None,
) -> None:
    """Print a table with the headline figure of each model, and a sentence for each comparison.

    Args:
        stages: stages in the order of the table.
        comparisons: pairs of models, reported below the table.
        headline: figure by which the models are compared.
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
