"""Time of an image of a hand on one core."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.row import Bar, Row
from benchmarks.worker import ONE_CORE, Worker

MOST_MILLISECONDS = 25.0
REPEATS = 21

CASES = {
    "view": "224 x 224, four points a pixel",
    "one point": "224 x 224, one point a pixel",
    "noise": "224 x 224, four points a pixel, noise of a sensor",
    "grey": "224 x 224, four points a pixel, one channel",
    "motion": "224 x 224, four points a pixel, five instants",
    "visibility": "448 x 448, nearest faces alone",
    "large faces": "224 x 224, nearest of 2,314 faces that cover the whole image",
}
"""Requests to the worker, and what they measure."""


def rows(quick: bool) -> Iterator[Row]:
    """Yield processor time and wall time of each case; quick: five repetitions of the judged one alone."""
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    core = max(cores) if cores else None
    with Worker(Path(sys.executable), "benchmarks.hands.rendering_worker", core=core, environment=ONE_CORE) as worker:
        for case in ["view"] if quick else CASES:
            answer = worker.ask(case=case, repeats=5 if quick else REPEATS)
            judged = case == "view"
            # The processor time of one thread is its wall time where no other process takes the core.
            yield Row.median(
                f"mesh of the size of a hand, {CASES[case]}: processor time",
                answer["processor"],
                "ms",
                bar=Bar(relation="<=", limit=MOST_MILLISECONDS) if judged else None,
            )
            yield Row.median(f"mesh of the size of a hand, {CASES[case]}: wall time", answer["wall"], "ms")
            if judged:
                yield Row(figure="share of the pixels that the mesh covers", value=answer["covered"], unit="")
