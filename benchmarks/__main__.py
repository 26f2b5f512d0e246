"""`python -m benchmarks NAME`: run one benchmark, print its table, and say whether its bars hold."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import first_step, install, rows

BENCHMARKS: dict[str, Callable[[bool], list[rows.Row]]] = {
    "install": install.run,
    "first_step": first_step.run,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; 1 where --check was given and a bar does not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="?", help="one of: " + ", ".join(BENCHMARKS))
    parser.add_argument("--list", action="store_true", help="name the benchmarks and what they measure")
    parser.add_argument("--quick", action="store_true", help="fewer repeats, for a first look")
    parser.add_argument("--json", type=Path, help="write the rows there too")
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar does not hold")
    command = parser.parse_args(arguments)
    if command.list:
        for name, run in BENCHMARKS.items():
            sys.stdout.write(f"{name:<12} {(run.__doc__ or '').splitlines()[0]}\n")
        return 0
    if command.name not in BENCHMARKS:
        parser.error(f"name must be one of {', '.join(BENCHMARKS)}, got {command.name!r}.")
    measured = BENCHMARKS[command.name](command.quick)
    environment = rows.environment()
    rows.print_rows(command.name, measured, environment, file=sys.stdout)
    if command.json is not None:
        command.json.write_text(rows.to_json(command.name, measured, environment))
    missed = [row.figure for row in measured if row.holds is False]
    if missed and command.check:
        sys.stderr.write(f"bars that do not hold: {'; '.join(missed)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
