"""Results of a suite on the terminal."""

import sys
from collections.abc import Sequence
from typing import TextIO

from jaxkd.evals.suites.results import SuiteResult
from jaxkd.report.suites.rows import NOT_APPLICABLE, cell, difference, remarks, report_rows

_WIDEST = 1000
"""Width in characters that no table reaches."""


def print_results(results: Sequence[SuiteResult], labels: Sequence[str], *, file: TextIO | None = None) -> None:
    """Print a table with a row per metric, and the aggregates.

    Args:
        results: results of one suite, a model each.
        labels: name of each model.
        file: output stream; None is standard output.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2))
    for name in ("level", "task", "metric, %"):
        table.add_column(name, no_wrap=True)
    for name in ("rows", *labels, *(f"{labels[0]} \N{MINUS SIGN} {label}" for label in labels[1:]), "chance"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in report_rows(results):
        table.add_row(
            row.task.level,
            row.task.id,
            row.title,
            str(row.task.scored),
            *(Text(cell(one), style="bold" if one is not None else "dim") for one in row.results),
            *map(difference, row.differences),
            "" if row.chance is None else f"{row.chance:.0f}",
        )
    notes = [f"{remark}: {', '.join(tasks)}" for remark, tasks in remarks(results, labels).items()]
    for name in results[0].aggregates:
        values = [result.aggregates[name] for result in results]
        shown = [NOT_APPLICABLE if one.value is None else f"{one.value:.2f}" for one in values]
        table.add_row("", Text(name, style="bold"), "", "", *shown, *("" for _ in labels[1:]), "")
        if any(one.partial for one in values):
            missing = dict.fromkeys(term for one in values for term in one.missing)
            notes.append(f"{name} is partial, without {', '.join(missing)}")
    console = Console(file=file or sys.stdout, highlight=False, markup=False)
    if not console.is_terminal:  # a file has no width limit: never cut a column
        wide = Console(file=console.file, highlight=False, markup=False, width=_WIDEST)
        console = Console(file=console.file, highlight=False, markup=False, width=wide.measure(table).maximum)
    console.print(table)
    for note in notes:
        console.print(note, soft_wrap=True)
