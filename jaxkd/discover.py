"""`python -m jaxkd.discover`: the equations behind measured trajectories, and whether they can be trusted."""

import dataclasses
import math
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from jaxkd.runtime.program import importing, run_program
from jaxkd.runtime.storage.files import write_json, write_text

with importing(__name__):  # the extra may be missing
    from jaxkd.study.discovery import Search, discover

if TYPE_CHECKING:
    from jaxkd.dynamics.validation.discovered import Discovered


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Find y' = f(y, u) in a table of measurements.

    Columns may state their units, as in `prey [1000]`.  Writes report.html, equations.json and, if there are equations,
    equations.py.
    """

    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE...")] = ()
    """Files of measurements: .csv, .tsv, .txt, .npz, or .nc (NetCDF 3)."""
    data: tuple[Path, ...] = ()
    """Further files, so that the commands of earlier reports still run."""
    time: str | None = None
    """Column of the time; by default the one called t or time, else the first."""
    states: tuple[str, ...] = ()
    """Columns of the states; by default all others."""
    inputs: tuple[str, ...] = ()
    """Columns of the known quantities that drive the system: controls, parameters."""
    trajectory: str | None = None
    """Column that identifies trajectories."""
    log: tuple[str, ...] = ()
    """States to take the logarithm of, such as populations; they must be > 0."""
    delays: int = 0
    """Number of delay coordinates x(t - delay), x(t - 2 delay), ... of each state that join as further states."""
    delay: float | None = None
    """Time between delay coordinates, in the unit of time; a whole number of steps between samples."""
    search: Search = dataclasses.field(default_factory=Search)
    output: Path = Path("discovered")
    """Folder to write to."""


def main(arguments: list[str] | None = None) -> None:
    """Read records, find and test equations, and write the results."""
    # --degree, not --search.degree: no other option has such a name.
    command = tyro.cli(Command, args=arguments, prog="python -m jaxkd.discover", config=(tyro.conf.OmitArgPrefixes,))
    given = sys.argv[1:] if arguments is None else arguments
    run_program(lambda: _discover(command, f"python -m jaxkd.discover {shlex.join(given)}"))


def _discover(command: Command, typed: str) -> None:
    import jax

    from jaxkd.data.trajectories import coordinates, measurements
    from jaxkd.report.dynamics.discovery_page import write_discovery
    from jaxkd.report.dynamics.discovery_terminal import print_discovery

    if command.output.exists() and not command.output.is_dir():
        raise ValueError(f"--output must be a folder, got the file {command.output}.")
    if command.delays and command.search.order == 2:
        raise ValueError(
            "--delays and --order 2 must not be combined, got both: either takes the place of what was not measured. "
            "Leave one out."
        )
    if bool(command.delays) != (command.delay is not None):
        raise ValueError(
            f"--delays and --delay must be given together, got {command.delays} and {command.delay}. Add the other "
            "one, as in --delays 1 --delay 0.5."
        )
    measured = measurements.read(
        command.files + command.data,
        time=command.time,
        states=command.states,
        inputs=command.inputs,
        trajectory=command.trajectory,
        positive=command.log,
    )
    if command.delay is not None:
        measured = coordinates.delayed(measured, count=command.delays, delay=command.delay)
    if command.log:
        measured = coordinates.logarithms(measured, command.log)
    title = "Equations of " + ", ".join(measured.labels)
    with jax.enable_x64(True):
        discovered = discover(measured, command.search, title=title, command=typed)
    command.output.mkdir(parents=True, exist_ok=True)
    write_discovery(command.output / "report.html", discovered)
    write_json(command.output / "equations.json", _record(discovered, command.search))
    function, beside = command.output / "equations.py", "equations.json"
    # No function of equations that were not found, also none of an earlier search.
    function.unlink(missing_ok=True)
    if not discovered.missing:
        write_text(function, discovered.python)
        beside = "equations.py and equations.json"
    print_discovery(discovered)
    sys.stdout.write(f"\n{command.output / 'report.html'} written, with {beside} beside it\n")


def _record(discovered: "Discovered", search: Search) -> dict[str, Any]:
    """Return the results for programs, without the arrays of the figures."""
    return {
        "verdict": discovered.verdict,
        "missing": discovered.missing,
        "equations": discovered.equations.splitlines(),
        "latex": discovered.latex,
        "terms": [dataclasses.asdict(term) for term in discovered.terms],
        "coverage": None if discovered.coverage is None or math.isnan(discovered.coverage) else discovered.coverage,
        "checks": [dataclasses.asdict(check) for check in discovered.checks],
        "noise": dict(zip(discovered.states, discovered.noise.tolist(), strict=True)),
        "warnings": discovered.warnings,
        "search": dataclasses.asdict(search),
        "command": discovered.command,
    }


if __name__ == "__main__":
    main()
