r"""Differences between rows of a stored study in a figure per answer, with intervals over answers and seeds.

python -m benchmarks.studies.differences benchmarks/results/align_distil.json generations/length \
    --pair constant_0.25 dpo_0.1
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.studies.kept_study import by_answer, markdown
from jaxkd.evals.bootstrap import Interval, mean_interval


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the differences as Markdown."""
    parser = argparse.ArgumentParser(description="How far rows of a kept study differ in a figure of each answer.")
    parser.add_argument("kept", type=Path, help="benchmarks/results/STUDY.json")
    parser.add_argument("figure", help="of each answer: EVALUATOR/COLUMN")
    parser.add_argument(
        "--pair",
        nargs=2,
        action="append",
        required=True,
        metavar=("FIRST", "SECOND"),
        help="labels of rows; several that are joined by commas stand for their mean",
    )
    parser.add_argument("--draws", type=int, default=1, help="answers to each prompt, which are resampled together")
    given = parser.parse_args(arguments)
    print(table(json.loads(given.kept.read_text()), given.figure, given.pair, draws=given.draws))


def difference(
    kept: Mapping[str, Any], figure: str, first: str, second: str, *, draws: int = 1
) -> tuple[Interval, dict[str, float]]:
    """Return the mean of a figure of `first` minus that of `second`, over the seeds of both, and that of each seed.

    Answer i of all rows is to the same prompt, so answers are resampled in pairs.

    Args:
        kept: study that `keep_study` wrote.
        figure: EVALUATOR/COLUMN.
        first: a row's label; several labels, joined by commas, stand for their mean.
        second: the same for the other side.
        draws: `samples_per_prompt` of `Generations`, whose answers are to all prompts in turn, once for each draw.

    Raises:
        ValueError: there is no seed at which all were measured, or a number of answers that `draws` does not divide.
    """
    ours, theirs = _mean(kept, figure, first), _mean(kept, figure, second)
    seeds = sorted(ours.keys() & theirs.keys(), key=int)
    if not seeds:
        raise ValueError(
            f"{first} and {second} must have {figure!r} at one seed, got seeds {', '.join(ours) or 'none'} and "
            f"{', '.join(theirs) or 'none'}. Figures: {', '.join(kept['columns'])}."
        )
    gaps = np.array([ours[seed] - theirs[seed] for seed in seeds])
    if draws < 1 or gaps.shape[-1] % draws:
        raise ValueError(f"draws must divide the {gaps.shape[-1]} answers of a row, got {draws}.")
    gaps = gaps.reshape(len(seeds), draws, -1).mean(axis=1)
    return mean_interval(gaps), dict(zip(seeds, gaps.mean(axis=-1).tolist(), strict=True))


def table(kept: Mapping[str, Any], figure: str, pairs: Sequence[tuple[str, str]], *, draws: int = 1) -> str:
    """Return the differences as Markdown."""
    cells = []
    for first, second in pairs:
        interval, by_seed = difference(kept, figure, first, second, draws=draws)
        cells.append(
            (
                f"{_named(first)} − {_named(second)}",
                f"{interval.estimate:+.3f}",
                f"{interval.low:+.3f} to {interval.high:+.3f}",
                ", ".join(f"{value:+.3f}" for value in by_seed.values()),
            )
        )
    return markdown((f"difference in `{figure}`", "estimate", "interval", "by seed"), cells)


def _mean(kept: Mapping[str, Any], figure: str, labels: str) -> dict[str, np.ndarray]:
    """Return the mean over the rows for each answer, by the seeds that all rows have."""
    rows = [by_answer(kept, figure, row) for row in labels.split(",")]
    seeds = [seed for seed in rows[0] if all(seed in row for row in rows)]
    return {seed: np.mean([row[seed] for row in rows], axis=0) for seed in seeds}


def _named(labels: str) -> str:
    return ", ".join(f"`{row}`" for row in labels.split(","))


if __name__ == "__main__":
    main()
