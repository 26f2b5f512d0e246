"""The study of one view that learns from four: the teacher's fusion, its students, and crops away from the centre.

The runs are kept in runs/hands, so that the same command goes on where it was stopped.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float

from benchmarks.hands import fusion
from benchmarks.hands.fusion import mean_row
from benchmarks.row import Bar, Row
from benchmarks.studies.finished_study import Scored, finished, scored
from configs import hands
from jaxkd.data.images.hand_source import HandSource
from jaxkd.evals.bootstrap import mean_interval
from jaxkd.evals.vision.hand_scores import EDGE
from jaxkd.study import Study
from jaxkd.study.cache_hands_stage import CacheHands
from jaxkd.study.study import stage_folder
from jaxkd.training import Train
from jaxkd.training.results.evaluation import Evaluation
from jaxkd.vision.recipe import NetworkRecipe
from jaxkd.vision.tflite import hand_landmarks

LARGEST = 270_000
"""Bar: parameters of the student."""
SHARE = 0.1
"""Bar: the student's parameters over the teacher's."""
LOWER = 0.8
"""Bar: the student's error over the teacher's in one view."""
GROWTH = 0.5
"""Bar: growth of the error towards the edge of the image, with the perspective crop over without it."""

EVALUATION = "hands"
"""Name of the evaluation of the joints."""


def rows(quick: bool) -> Iterator[Row]:
    """Yield the rows; quick: the study in miniature, without bars on what it finds."""
    study = hands.get_config("smoke" if quick else "full")
    yield from _parameters(study)
    with finished(study, kept=not quick) as workdir:
        yield from _study_rows(study, workdir, judged=not quick)


def _study_rows(study: Study, workdir: Path, *, judged: bool) -> Iterator[Row]:
    stages = {stage.name: stage for stage in study.stages}
    data = _cached_data(study)
    folders = {name: stage_folder(workdir, stages[name], study.seeds[0]) for name in ("validation", "test")}
    yield from fusion.rows(fusion.measure(data, folders["validation"], folders["test"]), judged=judged)
    found = scored(study, workdir)
    for name, each in found.items():
        if each:
            yield mean_row(f"{name}: error of the joints", errors(each[EVALUATION]))
    for first, second in study.comparisons:
        interval = mean_interval(_by_frame(data, found, first) - _by_frame(data, found, second))
        yield Row(
            figure=f"{first} - {second}: error of the joints",
            value=interval.estimate,
            unit="mm",
            interval=(interval.low, interval.high),
        )
    yield from _lower(data, found, judged=judged)
    yield from _growth(data, found, judged=judged)


def errors(evaluations: Sequence[Evaluation]) -> Float[np.ndarray, "seeds n"]:
    """Return the error of each image in mm, by seed."""
    return np.array([one.per_example["mpjpe"] for one in evaluations])


def _parameters(study: Study) -> Iterator[Row]:
    student = next(
        stage.recipe.network
        for stage in study.stages
        if isinstance(stage, Train) and stage.name == "fused" and isinstance(stage.recipe, NetworkRecipe)
    )
    number = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(student.abstract()[0]))
    teacher = sum(leaf.size for leaf in jax.tree.leaves(hand_landmarks(hands.TEACHER.network_size).params))
    yield Row(figure="parameters of the student", value=number, unit="", bar=Bar(relation="<=", limit=LARGEST))
    figure = f"parameters of the student over the {teacher:,} of the teacher"
    yield Row(figure=figure, value=number / teacher, unit="x", bar=Bar(relation="<=", limit=SHARE))


def _cached_data(study: Study) -> HandSource:
    return next(stage.data for stage in study.stages if isinstance(stage, CacheHands))


def _by_frame(data: HandSource, found: Scored, name: str) -> Float[np.ndarray, "seeds f"]:
    """Return the mean error over the views of each frame, which depend on one another and are drawn together."""
    values = errors(found[name][EVALUATION])
    return values.reshape(len(values), -1, len(data.views)).mean(axis=-1)


def _lower(data: HandSource, found: Scored, *, judged: bool) -> Iterator[Row]:
    """Yield the ratio of the student's error to the teacher's, and whether an interval holds it below the bar."""
    student, teacher = (_by_frame(data, found, name) for name in ("fused", "teacher"))
    bar = Bar(relation="<=", limit=LOWER) if judged else None
    yield Row(figure="error of fused / teacher", value=float(student.mean() / teacher.mean()), unit="x", bar=bar)
    interval = mean_interval(LOWER * teacher - student)
    figure = f"{LOWER:g} times the error of the teacher - that of fused"
    yield Row(figure=figure, value=interval.estimate, unit="mm", interval=(interval.low, interval.high))
    bar = Bar(relation=">", limit=0) if judged else None
    yield Row(figure=f"{figure}, lower end of the interval", value=interval.low, unit="mm", bar=bar)


def _growth(data: HandSource, found: Scored, *, judged: bool) -> Iterator[Row]:
    examples = data.examples("test")
    eccentricity = np.array([float(examples[place].target.eccentricity) for place in range(len(examples))])
    far = eccentricity >= EDGE
    growths = {}
    for name, each in found.items():
        if not each or far.all() or not far.any():
            continue
        values = errors(each[EVALUATION])
        near_row, far_row = (mean_row(f"{name}: error {where}", values[:, chosen]) for where, chosen in _zones(far))
        growths[name] = far_row.value - near_row.value
        yield from (near_row, far_row)
        for low, high in _BINS:
            chosen = (eccentricity >= low) & (eccentricity < high)
            if chosen.sum() > 1:
                yield mean_row(f"{name}: error from {low:g} to {high:g} widths", values[:, chosen])
    if growths:
        yield Row(
            figure="growth of the teacher's error beyond a third of the width, perspective crop / plain crop",
            value=growths["teacher"] / growths["teacher_plain"],
            unit="x",
            bar=Bar(relation="<=", limit=GROWTH) if judged else None,
        )


_BINS = ((0.0, 0.1), (0.1, 0.2), (0.2, 0.3), (0.3, 0.4), (0.4, 0.5))
"""Distances of a crop from the centre of its image, in widths, of which the error is drawn."""


def _zones(far: np.ndarray) -> tuple[tuple[str, np.ndarray], ...]:
    return (("within a third of the width from the centre", ~far), ("beyond a third of the width", far))
