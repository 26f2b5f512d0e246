"""Discovered equations on the terminal: what the page says, without its figures."""

from itertools import groupby
from typing import TextIO

from jaxkd.dynamics.validation.discovered import Discovered, derivative
from jaxkd.report.dynamics import discovery_text

_MARKS = {True: ("yes", "green"), False: ("no", "bold red"), None: ("-", "yellow")}
_WIDEST = 160
"""Width of the table in characters if the output is not a terminal."""


def print_discovery(discovered: Discovered, *, file: TextIO | None = None) -> None:
    """Print the verdict, the equations, their coefficients with intervals and units, the checks and the warnings.

    Args:
        discovered: equations and checks.
        file: output stream; None is standard output.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console(file=file, highlight=False, markup=False, soft_wrap=True)
    trusted = not discovered.missing and all(check.holds for check in discovered.checks)
    for sentence in discovered.verdict:
        console.print(Text(sentence, style="bold green" if trusted else "bold red"))
    console.print()
    console.print(Text(discovered.equations, style="bold"))
    if discovered.terms:
        console.print()
        wide = console if console.is_terminal else Console(file=file, highlight=False, width=_WIDEST)
        wide.print(_table(discovered))
        alarm, said = discovery_text.coverage(discovered)
        console.print(Text(f"{alarm}: {said}" if alarm else said, style="bold red" if alarm else "dim"))
    console.print()
    for check in discovered.checks:
        mark, style = _MARKS[check.holds]
        console.print(Text(f"{mark:<5}", style=style) + Text(check.question, style="default"))
        console.print(Text(f"     {check.found} (bar: {check.bar})", style="dim"))
    for warning in discovered.warnings:
        console.print(Text(f"warning: {warning}", style="yellow"))


def _table(discovered: Discovered):
    from rich.table import Table
    from rich.text import Text

    united = any(term.unit for term in discovered.terms)
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2))
    for name in ("equation", "term", "coefficient", "90 % interval", "chosen in", *(["unit"] if united else [])):
        table.add_column(name, no_wrap=True, justify="right" if name == "coefficient" else "left")
    for state, group in groupby(discovered.terms, key=lambda term: term.state):
        for number, term in enumerate(group):
            texts = discovery_text.row(term)
            if not united:
                del texts["unit"]
            rate = derivative(state, discovered.time, order=discovered.order)
            table.add_row("" if number else Text(rate), *map(Text, texts.values()))
    return table
