"""The table of docs/testing.md: the result of `python -m benchmarks suite --json PATH`, beside an earlier suite.

python -m benchmarks.tests.suite_table benchmarks/results/suite_before.json benchmarks/results/suite.json
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.row import Measured
from benchmarks.runner import read
from benchmarks.tests.suite import ACTIVITIES

LEAST_S = 10.0
"""Seconds below which a file is left out, in every run."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="The table of docs/testing.md.")
    parser.add_argument("before", type=Path, help="benchmarks/results/suite_before.json")
    parser.add_argument("now", type=Path, help="benchmarks/results/suite.json")
    parsed = parser.parse_args(arguments)
    print(table(read(parsed.before), read(parsed.now)))


def table(before: Measured, now: Measured) -> str:
    """Return a line per activity and per long file: seconds before, now with empty caches, and now with warm ones."""
    runs = [_values(before, "cold"), _values(now, "cold"), _values(now, "warm")]
    figures = [f"{one}, all processes" for one in ACTIVITIES] + ["programs", "tests"]
    files = {figure for values in runs for figure in values if figure.endswith(".py")}
    slowest = {file: max(values.get(file, 0.0) for values in runs) for file in files}
    figures += sorted((file for file in files if slowest[file] >= LEAST_S), key=lambda file: -slowest[file])
    lines = [["", "before, cold", "cold", "warm"], ["---", "---:", "---:", "---:"]]
    lines += [[f"`{one}`" if one in files else one, *(_cell(values, one) for values in runs)] for one in figures]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _values(measured: Measured, run: str) -> Mapping[str, float]:
    titles = [row.figure.partition(": ") for row in measured.rows]
    return {figure: row.value for (title, _, figure), row in zip(titles, measured.rows, strict=True) if title == run}


def _cell(values: Mapping[str, float], figure: str) -> str:
    if figure not in values:
        return "< 2" if figure.endswith(".py") else ""
    return f"{values[figure]:,.0f}"


if __name__ == "__main__":
    main()
