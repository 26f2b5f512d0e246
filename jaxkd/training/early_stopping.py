"""Early stopping: the end of a run whose validation metric no longer improves."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from jaxkd.typing import Better


def stop_step(values: Mapping[int, float], *, patience: int, better: Better) -> int | None:
    """Return the step at which a run stops: `patience` validations in a row are no better than the best before them.

    Args:
        values: validation metric by step; nan is no improvement.
        patience: number of validations, at least 1.
        better: whether a lower or a higher value is better.

    Returns:
        The step of a validation; None if the run goes on.

    Source: Prechelt, Early Stopping - But When?, 1998 (doi 10.1007/3-540-49430-8_3).  Deviation: validations without a
    new best are counted, as in Keras, not strips with a growing error.

    Example:
        >>> stop_step({10: 3.0, 20: 2.0, 30: 2.5, 40: 2.1, 50: 1.0}, patience=2, better="lower")
        40
    """
    best, waited = math.inf, 0
    for step, value in sorted(values.items()):
        cost = value if better == "lower" else -value
        best, waited = (cost, 0) if cost < best else (best, waited + 1)
        if waited == patience:
            return step
    return None


def validated(rows: Iterable[Mapping[str, Any]], metric: str | None) -> dict[int, float]:
    """Return a validation metric by step, from rows of `metrics.jsonl`; empty if there is none."""
    name = f"validation/{metric}"
    return {row["step"]: row[name] for row in rows if metric is not None and name in row}
