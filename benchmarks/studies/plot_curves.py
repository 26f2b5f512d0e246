r"""Draw a validation metric of some rows of a stored study over the steps, one curve per seed.

python -m benchmarks.studies.plot_curves benchmarks/results/on_policy_between_vocabularies.json \
    --rows sft eta eta_on_policy
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxkd.report import svg
from jaxkd.report.figures import Line, lines

DRAWINGS = Path(__file__).parents[2] / "docs" / "_static"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write `docs/_static/STUDY.svg`."""
    parser = argparse.ArgumentParser(description="Draw a validation metric of a kept study.")
    parser.add_argument("kept", type=Path, help="benchmarks/results/STUDY.json")
    parser.add_argument("--metric", default="bits_per_byte")
    parser.add_argument("--rows", nargs="+", required=True, help="names of stages, in the order of their colours")
    parser.add_argument("--to", type=Path, help="default: docs/_static/STUDY.svg")
    given = parser.parse_args(arguments)
    path = given.to or DRAWINGS / f"{given.kept.stem}.svg"
    path.write_text(drawn(json.loads(given.kept.read_text()), given.metric, given.rows))
    print(path)


def drawn(kept: dict[str, Any], metric: str, rows: Sequence[str]) -> str:
    """Return the curves as an SVG file.

    Raises:
        ValueError: a row lacks that metric.
    """
    curves = kept["curves"].get(metric, {})
    missing = [row for row in rows if row not in curves]
    if missing:
        raise ValueError(f"rows must have {metric!r} on validation, got {missing[0]!r}. Rows: {', '.join(curves)}.")
    found = [
        Line(label=row, color=color, steps=tuple(points["steps"]), values=tuple(points["values"]))
        for color, row in enumerate(rows)
        for points in curves[row].values()
    ]
    return svg.document(lines(found, description=f"{metric} on validation of {', '.join(rows)}", size="wide"))


if __name__ == "__main__":
    main()
