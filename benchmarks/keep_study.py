"""Keep what a study found: its summary, the figures of each answer, the validations, and where it ran, in one file.

python -m benchmarks.keep_study runs/same_head --config configs/same_head.py
"""

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxkd import metric_writer
from jaxkd.summary import HEADLINE

RESULTS = Path(__file__).parent / "results"

_NUMBERS = re.compile(r"\[\n\s+((?:-?[\d.e-]+,?\s*)+)\]")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write `benchmarks/results/STUDY.json`."""
    parser = argparse.ArgumentParser(description="Keep what a study found in benchmarks/results.")
    parser.add_argument("workdir", type=Path, help="of the study, with its summary.json")
    parser.add_argument("--config", required=True, help="that it ran from")
    parser.add_argument("--to", type=Path, help="default: benchmarks/results/WORKDIR.json")
    given = parser.parse_args(arguments)
    path = given.to or RESULTS / f"{given.workdir.name}.json"
    path.write_text(text(kept(given.workdir, given.config)))
    print(path)


def kept(workdir: Path, config: str) -> dict[str, Any]:
    """What is kept of a study.

    A teacher may have been measured on answers that are too long in the tokens of its students: of these nothing is
    kept but what is in the summary.

    Raises:
        FileNotFoundError: no summary: nothing of it is finished.
        ValueError: a row that was not measured on the answers of all others.
    """
    if not (workdir / "summary.json").is_file():
        raise FileNotFoundError(f"workdir must hold a summary.json, got {workdir}. Run the study, or its --report.")
    measured: dict[Path, dict[str, Any]] = {}
    for path in sorted(workdir.rglob("evaluation.json")):
        evaluations = json.loads(path.read_text())
        if HEADLINE in evaluations:
            measured[path] = evaluations
    keys = min((found[HEADLINE]["keys"] for found in measured.values()), key=len)
    sizes: dict[str, int] = {}
    nats: dict[str, dict[str, list[float]]] = {}
    columns: dict[str, dict[str, dict[str, list[float]]]] = {}
    for path, evaluations in measured.items():
        stage, *seed = path.parent.relative_to(workdir).parts
        at = seed[0] if seed else "all"
        found = evaluations.pop(HEADLINE)
        here, bytes_here = (
            dict(zip(found["keys"], found["per_example"][name], strict=True)) for name in ("nats", "bytes")
        )
        sizes = sizes or {key: int(bytes_here[key]) for key in keys if key in bytes_here}
        if any(bytes_here.get(key) != sizes.get(key, -1) for key in keys):
            raise ValueError(f"every row must be measured on the same answers, got others in {path}.")
        nats.setdefault(stage, {})[at] = _rounded([here[key] for key in keys])
        for evaluator, evaluation in evaluations.items():
            for name, column in evaluation.get("per_example", {}).items():
                columns.setdefault(f"{evaluator}/{name}", {}).setdefault(stage, {})[at] = _rounded(column)
    environments = sorted(workdir.rglob("environment.json"))
    environment = json.loads(environments[-1].read_text()) if environments else {}
    environment.pop("argv", None)
    return {
        "command": f"python -m jaxkd.train --config {config}",
        "summary": json.loads((workdir / "summary.json").read_text()),
        "environment": environment,
        "test_answers": {"keys": keys, "bytes": [sizes[key] for key in keys]},
        "nats_of_test_answers": nats,
        "columns": columns,
        "curves": _curves(workdir),
    }


def _curves(workdir: Path) -> dict[str, dict[str, dict[str, dict[str, list[float]]]]]:
    """Each validation metric by stage and seed: the steps, and the values there."""
    curves: dict[str, dict[str, dict[str, dict[str, list[float]]]]] = {}
    for path in sorted(workdir.rglob(metric_writer.FILE)):
        stage, seed = path.parent.relative_to(workdir).parts
        for row in metric_writer.read(path.parent):
            for name, value in row.items():
                if name.startswith("validation/"):
                    curve = curves.setdefault(name.removeprefix("validation/"), {}).setdefault(stage, {})
                    points = curve.setdefault(seed, {"steps": [], "values": []})
                    points["steps"].append(row["step"])
                    points["values"].append(round(value, 5))
    return curves


def _rounded(column: list[float]) -> list[float]:
    return [round(one, 3) for one in column]


def text(value: dict[str, Any]) -> str:
    """JSON in which a list of numbers takes one line."""
    lines = json.dumps(value, indent=1, ensure_ascii=False)
    return _NUMBERS.sub(lambda found: f"[{' '.join(found.group(1).split())}]", lines) + "\n"


if __name__ == "__main__":
    main()
