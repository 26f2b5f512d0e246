"""The table of docs/dynamics.md: the result of `python -m benchmarks pysindy --json PATH`, in Markdown.

python -m benchmarks.dynamics.pysindy_table benchmarks/results/pysindy.json
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.dynamics.beside_pysindy import RULES, VARIANTS
from benchmarks.row import Measured, Row
from benchmarks.runner import read

METHODS = tuple(dict.fromkeys(one.method for one in VARIANTS))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="The table of docs/dynamics.md.")
    parser.add_argument("kept", type=Path, help="benchmarks/results/pysindy.json")
    print(table(read(parser.parse_args(arguments).kept)))


def table(measured: Measured) -> str:
    """Return a line per system and noise: shares in per cent, PySINDy's as best validated and then in hindsight."""
    kept: dict[str, dict[str, Row]] = {}
    for row in measured.rows:
        title, _, figure = row.figure.partition(": ")
        kept.setdefault(title, {})[figure] = row
    head = ["", "`identify`", *METHODS, "p"]
    lines = [head, ["---"] * len(head), *([title, *_cells(rows)] for title, rows in kept.items())]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cells(rows: Mapping[str, Row]) -> Iterator[str]:
    (ours,) = (row for figure, row in rows.items() if figure.startswith("right terms, identify"))
    yield _share(ours)
    for method in METHODS:
        own = [f"{one}, {rule}" for one in VARIANTS if one.method == method for rule in RULES]
        hindsight = [
            row for figure, row in rows.items() if figure.startswith(f"PySINDy {method}, ") and figure not in own
        ]
        best = max((rows[figure] for figure in own), key=lambda row: row.value)
        yield f"{_share(best)}; {', '.join(f'{100 * row.value:.0f}' for row in reversed(hindsight))}"
    (chance,) = (row for figure, row in rows.items() if figure.startswith("p of"))
    yield f"{chance.value:.2g}"


def _share(row: Row) -> str:
    low, high = row.interval or (row.value, row.value)
    return f"{100 * row.value:.0f} ({100 * low:.0f} to {100 * high:.0f})"


if __name__ == "__main__":
    main()
