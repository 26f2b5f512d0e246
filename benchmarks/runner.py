"""Command line of the benchmarks: run one, print its table, store it as JSON, judge it."""

import argparse
import dataclasses
import difflib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import units
from benchmarks.environment import Environment
from benchmarks.row import Bar, Benchmark, Measured, Row
from jaxkd.runtime.program import run_program


def main(benchmarks: Sequence[Benchmark], arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and run the benchmark that it names.

    Raises:
        SystemExit: 1 if --check finds a bar that does not hold, or the benchmark could not run;
            2 if the command line is wrong.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", metavar="NAME", help="the benchmark to run")
    parser.add_argument("--list", action="store_true", help="name the benchmarks and stop")
    parser.add_argument("--quick", action="store_true", help="a first look: fewer repetitions or fewer rows")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the result there as well")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a bar does not hold")
    parsed = parser.parse_args(arguments)
    if parsed.list:
        sys.stdout.write(_listing(benchmarks))
        return
    benchmark = next((one for one in benchmarks if one.name == parsed.name), None)
    if benchmark is None:
        parser.error(_unknown(parsed.name, benchmarks))
    run_program(lambda: _run(benchmark, quick=parsed.quick, path=parsed.json, check=parsed.check))


def _run(benchmark: Benchmark, *, quick: bool, path: Path | None, check: bool) -> None:
    if path is not None:  # fail before minutes of measuring, not after
        if path.is_dir():
            raise ValueError(f"--json must name a file, got the folder {path}.")
        path.parent.mkdir(parents=True, exist_ok=True)
    with units.going_on(f"{benchmark.name}-quick" if quick else benchmark.name):
        measured = benchmark.measure(quick)
        print_table(benchmark.name, measured)
        if path is not None:
            write(path, benchmark.name, measured, quick=quick)
    failed = [row for row in measured.rows if row.holds is False]
    if check and failed:
        for row in failed:
            sys.stderr.write(f"does not hold: {row.figure} must be {row.bar} {row.unit}, got {row.value:.4g}\n")
        raise SystemExit(1)


def print_table(name: str, measured: Measured) -> None:
    """Print the rows, then the machine and the versions."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=name, box=None, pad_edge=False, header_style="dim", title_justify="left", padding=(0, 2))
    table.add_column("figure")
    for column in ("value", "spread", "bar"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("holds", no_wrap=True)
    for row in measured.rows:
        table.add_row(
            row.figure,
            f"{_number(row.value)} {row.unit}",
            _spread(row),
            "" if row.bar is None else str(row.bar),
            {None: "", True: Text("yes", style="green"), False: Text("no", style="bold red")}[row.holds],
        )
    # A log is wider than rich assumes of anything that is not a terminal.
    console = Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else 120)
    console.print(table)
    environment = measured.environment
    versions = ", ".join(f"{package} {version}" for package, version in environment.versions.items())
    for line in ("", environment.device, environment.machine, f"Python {environment.python}, {versions}"):
        console.print(Text(line))


def write(path: Path, name: str, measured: Measured, *, quick: bool) -> None:
    """Store a result."""
    rows = [{**dataclasses.asdict(row), "holds": row.holds} for row in measured.rows]
    record = {"benchmark": name, "quick": quick, **dataclasses.asdict(measured.environment), "rows": rows}
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> Measured:
    """Return the result that `write` stored.

    Raises:
        ValueError: the file is not a result.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        fields = (field.name for field in dataclasses.fields(Environment))
        environment = Environment(**{name: record[name] for name in fields})
        rows = tuple(_row(row) for row in record["rows"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} must be the JSON that `python -m benchmarks NAME --json PATH` writes, got {error!r} reading it."
        ) from error
    return Measured(rows=rows, environment=environment)


def _row(record: dict[str, Any]) -> Row:
    bar = None if record["bar"] is None else Bar(**record["bar"])
    return Row(
        figure=record["figure"],
        value=record["value"],
        unit=record["unit"],
        bar=bar,
        samples=tuple(record["samples"]),
        interval=tuple(record["interval"]) if record.get("interval") else None,
    )


def _listing(benchmarks: Sequence[Benchmark]) -> str:
    width = max((len(one.name) for one in benchmarks), default=0)
    return "".join(f"{one.name:<{width}}  {one.summary}\n" for one in benchmarks)


def _unknown(name: str | None, benchmarks: Sequence[Benchmark]) -> str:
    names = [one.name for one in benchmarks]
    near = difflib.get_close_matches(name or "", names, n=1, cutoff=0.4)
    said = "NAME must be given" if name is None else f"NAME must be a benchmark, got {name!r}"
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"{said}.{hint} Benchmarks: {', '.join(names)}."


def _spread(row: Row) -> str:
    if row.interval is not None:
        return f"{row.interval[0]:.3g} .. {row.interval[1]:.3g} (95 %)"
    return "" if row.spread is None else f"{row.spread[0]:.3g} .. {row.spread[1]:.3g} ({len(row.samples)})"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else f"{value:.3g}"
