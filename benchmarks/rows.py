"""A measured figure beside the bar that it must clear, and the table of them."""

import dataclasses
import importlib.metadata
import json
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

PACKAGES = ("jaxkd-distill", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "transformers", "numpy")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One figure of a benchmark."""

    figure: str
    """What was measured, and how often."""
    value: float
    unit: str
    bar: str | None = None
    """The promise in words; None where the figure is only reported."""
    holds: bool | None = None
    spread: tuple[float, float] | None = None
    """Smallest and largest of the measurements whose median `value` is."""


def at_most(figure: str, value: float, unit: str, bar: float, *, spread: tuple[float, float] | None = None) -> Row:
    """A row that holds where `value <= bar`."""
    return Row(figure=figure, value=value, unit=unit, bar=f"<= {bar:g}", holds=value <= bar, spread=spread)


def median(values: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """The median, and the smallest and largest value.

    Example:
        >>> median([3.0, 1.0, 2.0])
        (2.0, (1.0, 3.0))
    """
    return statistics.median(values), (min(values), max(values))


def interleaved(
    measures: Mapping[str, Callable[[], float]], *, repeats: int, warm_ups: int = 1
) -> dict[str, list[float]]:
    """Each of `measures`, in turn, `repeats` times: A B A B, so that a slow minute of the machine hits all alike."""
    results: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(warm_ups + repeats):
        for name, measure in measures.items():
            value = measure()
            if number >= warm_ups:
                results[name].append(value)
    return results


def environment() -> dict[str, Any]:
    """The machine and the versions that figures belong to."""
    import jax

    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": versions,
    }


def print_rows(name: str, rows: Sequence[Row], environment: Mapping[str, Any], *, file: IO[str]) -> None:
    """The table for a person."""
    from rich.console import Console
    from rich.table import Table

    table = Table("figure", "value", "spread", "bar", "holds", title=name, title_justify="left")
    for row in rows:
        spread = "" if row.spread is None else f"{row.spread[0]:.4g} to {row.spread[1]:.4g}"
        holds = "" if row.holds is None else "yes" if row.holds else "NO"
        table.add_row(row.figure, f"{row.value:.4g} {row.unit}", spread, row.bar or "reported", holds)
    console = Console(file=file, width=None if file.isatty() else 120)
    console.print(table)
    versions = ", ".join(f"{package} {version}" for package, version in environment["versions"].items())
    console.print(f"{environment['device']} ({environment['processor']}), python {environment['python']}, {versions}")


def to_json(name: str, rows: Sequence[Row], environment: Mapping[str, Any]) -> str:
    """The same for a file."""
    values = {"benchmark": name, "rows": [dataclasses.asdict(row) for row in rows], **environment}
    return json.dumps(values, indent=1) + "\n"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as cpuinfo:
            return next(line.split(":", 1)[1].strip() for line in cpuinfo if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
