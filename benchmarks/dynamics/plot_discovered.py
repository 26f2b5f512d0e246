"""`python -m benchmarks.dynamics.plot_discovered`: draw the forecast of a record that was held out by `jaxkd.discover`.

Reads the table of `python -m benchmarks.dynamics.prey_table` and writes `docs/_static/discovered.svg`.
"""

import tempfile
from pathlib import Path

import jax

from benchmarks.dynamics import prey_table
from jaxkd.data.trajectories import measurements
from jaxkd.report import svg
from jaxkd.report.dynamics import discovery_figures
from jaxkd.runtime.program import run_program
from jaxkd.study.discovery import Search, discover

DRAWING = Path(__file__).parents[2] / "docs" / "_static" / "discovered.svg"


def main() -> None:
    """Search for equations and draw the forecast."""
    with jax.enable_x64(True), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "measured.csv"
        path.write_text(prey_table.table(), encoding="utf-8")
        measured = measurements.read([path], trajectory="run")
        drawing = discovery_figures.forecasts(discover(measured, Search(), title="", command=""))
    DRAWING.write_text(svg.document(drawing), encoding="utf-8")


if __name__ == "__main__":
    run_program(main)
