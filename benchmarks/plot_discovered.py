"""`python -m benchmarks.plot_discovered`: draw the forecast of a record that `python -m jaxkd.discover` held out.

Of the table that `python -m benchmarks.prey_table` writes, to `docs/_static/discovered.svg`.
"""

import tempfile
from pathlib import Path

import jax

from benchmarks import prey_table
from jaxkd.console import run_program
from jaxkd.data import measurements
from jaxkd.discovery import Search, discover
from jaxkd.report import discovery_figures, svg

DRAWING = Path(__file__).parent.parent / "docs" / "_static" / "discovered.svg"


def main() -> None:
    """Search, and draw."""
    with jax.enable_x64(True), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "measured.csv"
        path.write_text(prey_table.table(), encoding="utf-8")
        measured = measurements.read([path], trajectory="run")
        drawing = discovery_figures.forecasts(discover(measured, Search(), title="", command=""))
    DRAWING.write_text(svg.document(drawing), encoding="utf-8")


if __name__ == "__main__":
    run_program(main)
