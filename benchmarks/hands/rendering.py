"""Time of an image of a hand on one core: the mesh of the WebXR input profiles in seven recorded poses."""

import os
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.row import Bar, Row
from benchmarks.worker import ONE_CORE, Worker

MOST_MILLISECONDS = 25.0
VIEWS = 21
"""Seven poses from three sides, each once."""

CASES = {
    "view": "a hand, 224 x 224, four points a pixel",
    "pose": "a hand, vertices and normals of a pose alone",
    "one point": "a hand, 224 x 224, one point a pixel",
    "noise": "a hand, 224 x 224, four points a pixel, noise of a sensor",
    "grey": "a hand, 224 x 224, four points a pixel, one channel",
    "motion": "a hand, 224 x 224, four points a pixel, five instants",
    "visibility": "a hand, 448 x 448, nearest faces alone",
    "large faces": "no hand, 224 x 224, nearest of 2,314 faces that cover the whole image",
}
"""Requests to the worker, and what they measure.  Those of a hand include its pose and its skinning."""


def rows(quick: bool) -> Iterator[Row]:
    """Yield processor time and wall time of each case; quick: the judged one alone, in three of seven poses."""
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    core = max(cores) if cores else None
    with Worker(Path(sys.executable), "benchmarks.hands.rendering_worker", core=core, environment=ONE_CORE) as worker:
        for case in ["view"] if quick else CASES:
            answer = worker.ask(case=case, repeats=9 if quick else VIEWS)
            judged = case == "view"
            # The processor time of one thread is its wall time where no other process takes the core.
            yield Row.median(
                f"{CASES[case]}: processor time",
                answer["processor"],
                "ms",
                bar=Bar(relation="<=", limit=MOST_MILLISECONDS) if judged else None,
            )
            yield Row.median(f"{CASES[case]}: wall time", answer["wall"], "ms")
            if judged:
                yield Row(
                    figure="share of the pixels that a hand covers, mean of the views",
                    value=statistics.fmean(answer["covered"]),
                    unit="",
                )
