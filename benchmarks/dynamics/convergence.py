"""Time at which each row of a stored study reaches most of DPO's gain: steps, seconds, and teachers' seconds too.

AlignDistil (arXiv 2503.02832) claims to converge more than twice as fast as methods that learn from whole answers.

python -m benchmarks.dynamics.convergence benchmarks/results/align_distil.json
"""

import argparse
import dataclasses
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.studies.kept_study import NOTHING, by_step, markdown, rows
from benchmarks.studies.plot_frontier import START, method

PASSED = "code/passed"
"""Metric on validation."""

LEADER = "dpo_0.1"
"""Row whose gain over `START` sets the target."""
TEACHERS = (LEADER, "reverse_dpo")
"""Rows that AlignDistil learns from."""
SHARE = 0.9
"""Share of that gain which sets the target."""

_ROUNDING = 1e-4
"""Tolerance above the rounding of the stored figures, and far below the share of one validated answer."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the targets and when each row reached them, as Markdown."""
    parser = argparse.ArgumentParser(description="When each row of a kept study has most of what DPO taught.")
    parser.add_argument("kept", type=Path, help="benchmarks/results/STUDY.json")
    kept = json.loads(parser.parse_args(arguments).kept.read_text())
    print(f"{targets_table(kept)}\n\n{table(kept)}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """Time that a run took to its target."""

    reached: bool
    step: int
    """Step of the first validation at the target, or of the last validation if none is."""
    seconds: float | None
    """Seconds of the training steps up to then; None if they were not stored."""
    with_teachers: float | None
    """Seconds including all steps of the models that AlignDistil learns from; None for other methods too."""


def targets(kept: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the target share on validation, by seed; None if DPO gained nothing.

    Raises:
        ValueError: no seed at which both are validated.
    """
    starts, leaders = _ends(kept, START), _ends(kept, LEADER)
    seeds = sorted(starts.keys() & leaders.keys(), key=int)
    if not seeds:
        raise ValueError(
            f"kept must hold validations of {START} and {LEADER} at one seed, got seeds {', '.join(starts) or 'none'} "
            f"and {', '.join(leaders) or 'none'}. Run the study to the end."
        )
    gains = {seed: leaders[seed] - starts[seed] for seed in seeds}
    return {seed: starts[seed] + SHARE * gain if gain > 0 else None for seed, gain in gains.items()}


def run(kept: Mapping[str, Any], row: str, seed: str, target: float) -> Run | None:
    """Return when a row reached its target at a seed; None if it was not validated."""
    validated = by_step(kept, "curves", PASSED, row).get(seed)
    if not validated:
        return None
    reached = [step for step, passed in sorted(validated.items()) if passed >= target - _ROUNDING]
    step = reached[0] if reached else max(validated)
    seconds = _seconds_of_step(kept, row, seed)
    own = None if seconds is None else step * seconds
    parts = [own, *([_seconds_of_run(kept, teacher, seed) for teacher in TEACHERS] if _is_align_distil(row) else [])]
    known = [part for part in parts if part is not None]
    with_teachers = sum(known) if len(known) == len(parts) > 1 else None
    return Run(reached=bool(reached), step=step, seconds=own, with_teachers=with_teachers)


def targets_table(kept: Mapping[str, Any]) -> str:
    """Return the target of each seed, as Markdown."""
    starts, leaders = _ends(kept, START), _ends(kept, LEADER)
    cells = [
        (seed, f"{starts[seed]:.3f}", f"{leaders[seed]:.3f}", NOTHING if target is None else f"{target:.3f}")
        for seed, target in targets(kept).items()
    ]
    return markdown(("seed", f"`{START}`", f"`{LEADER}`", "target"), cells)


def table(kept: Mapping[str, Any]) -> str:
    """Return the figures of each validated row by seed, as Markdown; "> 16": not reached in 16 steps."""
    cells = []
    for row in (row for row in rows(kept) if method(row) is not None and by_step(kept, "curves", PASSED, row)):
        found = [None if target is None else run(kept, row, seed, target) for seed, target in targets(kept).items()]
        columns = zip(*map(_cells, found), strict=True)
        cells.append((f"`{row}`", *(", ".join(column) if set(column) != {NOTHING} else NOTHING for column in columns)))
    return markdown(("row", "steps, by seed", "seconds", "with both DPO runs"), cells)


def _cells(found: Run | None) -> tuple[str, str, str]:
    if found is None:
        return NOTHING, NOTHING, NOTHING
    figures = (found.step, found.seconds, found.with_teachers)
    step, seconds, with_teachers = (
        NOTHING if figure is None else f"{'' if found.reached else '> '}{figure:.0f}" for figure in figures
    )
    return step, seconds, with_teachers


def _is_align_distil(row: str) -> bool:
    found = method(row)
    return found is not None and found[0].startswith(("constant", "adaptive"))


def _ends(kept: Mapping[str, Any], row: str) -> dict[str, float]:
    """Return the last validation of each seed."""
    return {seed: steps[max(steps)] for seed, steps in by_step(kept, "curves", PASSED, row).items()}


def _seconds_of_step(kept: Mapping[str, Any], row: str, seed: str) -> float | None:
    """Return the median, which ignores the few steps whose seconds include compiling or validating."""
    steps = by_step(kept, "training", "seconds", row).get(seed)
    return statistics.median(steps.values()) if steps else None


def _seconds_of_run(kept: Mapping[str, Any], row: str, seed: str) -> float | None:
    steps = by_step(kept, "training", "seconds", row).get(seed)
    return statistics.median(steps.values()) * max(steps) if steps else None


if __name__ == "__main__":
    main()
