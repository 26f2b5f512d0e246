r"""Verdicts on the laboratory's claims, by the rules of docs/laboratory.md, from studies that `keep_study` stored.

python -m benchmarks.laboratory.verdicts benchmarks/results/laboratory_one_vocabulary.json \
    --pair dskd kd --pair dskdv2 dskd
"""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.studies.kept_study import by_step, markdown
from jaxkd.evals.bootstrap import Interval, paired_bootstrap

FLAT = 0.005
"""Improvement in the last fifth of the validations, as a share of the best before, that a plateau stays below."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the verdicts as Markdown."""
    parser = argparse.ArgumentParser(description="Which of two rows is better, and whether both are at their plateau.")
    parser.add_argument(
        "kept", nargs="+", type=Path, help="benchmarks/results/STUDY.json; a row is taken from the first"
    )
    parser.add_argument(
        "--pair",
        nargs=2,
        action="append",
        required=True,
        metavar=("FIRST", "SECOND"),
        help="rows; first is claimed better",
    )
    given = parser.parse_args(arguments)
    print(table([json.loads(path.read_text()) for path in given.kept], given.pair))


def table(studies: Sequence[Mapping[str, Any]], pairs: Sequence[Sequence[str]]) -> str:
    """Return a row for each pair: the difference in bits per byte, its interval, and the verdict."""
    cells = []
    for first, second in pairs:
        interval, seeds = difference(studies, first, second)
        rising = [row for row in (first, second) if not all(plateaus(_study_of(studies, row), row).values())]
        cells.append(
            (
                f"`{first}` is better than `{second}`",
                f"{interval.estimate:+.3f}",
                f"{interval.low:+.3f} to {interval.high:+.3f}",
                ", ".join(seeds),
                verdict(interval) if not rising else f"not decided: {', '.join(rising)} still improves",
            )
        )
    return markdown(("claim", "difference in bits per byte", "interval", "seeds", "verdict"), cells)


def verdict(interval: Interval) -> str:
    """Return what an interval of the first row minus the second, of which less is better, says of the claim."""
    if not interval.excludes_zero:
        return "not decided"
    return "holds" if interval.estimate < 0 else "fails"


def difference(studies: Sequence[Mapping[str, Any]], first: str, second: str) -> tuple[Interval, tuple[str, ...]]:
    """Return bits per byte of `first` minus those of `second`, paired by answer and seed, and the seeds of both.

    Raises:
        ValueError: a row that no study has, rows that share no seed, or rows of studies with other test answers.
    """
    ours, theirs = (_study_of(studies, row) for row in (first, second))
    if ours["test_answers"] != theirs["test_answers"]:
        raise ValueError(
            f"{first} and {second} must be measured on the same answers, got two sets. Keep studies of one Python."
        )
    nats = ours["nats_of_test_answers"][first], theirs["nats_of_test_answers"][second]
    seeds = tuple(sorted(nats[0].keys() & nats[1].keys(), key=int))
    if not seeds:
        raise ValueError(f"{first} and {second} must share a seed, got {', '.join(nats[0])} and {', '.join(nats[1])}.")
    values = [np.array([one[seed] for seed in seeds], np.float64) for one in nats]
    sizes = np.array(ours["test_answers"]["bytes"], np.float64)
    return paired_bootstrap(values[0], values[1], sizes, unit_size=math.log(2)), seeds


def plateaus(kept: Mapping[str, Any], row: str) -> dict[str, bool]:
    """Return, by seed, whether the last fifth of the validations improves on the best before by less than `FLAT`."""
    return {
        seed: _is_flat(list(points.values())) for seed, points in by_step(kept, "curves", "bits_per_byte", row).items()
    }


def _is_flat(values: Sequence[float]) -> bool:
    last = max(1, len(values) // 5)
    before = values[:-last]
    return bool(before) and min(before) - min(values[-last:]) < FLAT * min(before)


def _study_of(studies: Sequence[Mapping[str, Any]], row: str) -> Mapping[str, Any]:
    for kept in studies:
        if row in kept["nats_of_test_answers"]:
            return kept
    known = sorted({name for kept in studies for name in kept["nats_of_test_answers"]})
    raise ValueError(f"a row must be in one of the studies, got {row!r}. Rows: {', '.join(known)}.")


if __name__ == "__main__":
    main()
