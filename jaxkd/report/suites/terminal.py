"""Results of a suite on the terminal."""

import sys
from collections.abc import Sequence
from typing import TextIO

from jaxkd.evals.suites.results import SuiteResult
from jaxkd.report.suites.rows import NOT_APPLICABLE, ReportRow, cell, difference, remarks, report_rows

_WIDEST = 160
"""Width of the table in characters if the output is not a terminal."""


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
    table.add_column("")
    remarked = set[str]()
    for row in report_rows(results):
        table.add_row(
            row.task.level,
            row.task.id,
            row.title,
            str(row.task.scored),
            *(Text(cell(one), style="bold" if one is not None else "dim") for one in row.results),
            *map(difference, row.differences),
            "" if row.chance is None else f"{row.chance:.0f}",
            "" if row.task.id in remarked else "; ".join(_remarks(row, labels)),
        )
        remarked.add(row.task.id)
    for name in results[0].aggregates:
        values = [result.aggregates[name] for result in results]
        missing = ", ".join(dict.fromkeys(term for one in values for term in one.missing))
        table.add_row(
            "",
            Text(name, style="bold"),
            "",
            "",
            *(NOT_APPLICABLE if one.value is None else f"{one.value:.2f}" for one in values),
            *("" for _ in labels[1:]),
            "",
            f"partial: without {missing}" if missing else "",
        )
    console = Console(file=file or sys.stdout, highlight=False, markup=False)
    wide = console if console.is_terminal else Console(file=console.file, highlight=False, markup=False, width=_WIDEST)
    wide.print(table)


def _remarks(row: ReportRow, labels: Sequence[str]) -> list[str]:
    """Remarks on the task of each model, by its name if there are several."""
    return [
        remark if len(labels) == 1 else f"{label}: {remark}"
        for label, task in zip(labels, row.tasks, strict=True)
        for remark in remarks(task)
    ]
