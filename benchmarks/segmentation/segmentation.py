"""Segmentation as a whole: the networks, the study of drawn lesions, runs that are killed, and eight devices.

The study's runs are kept in runs/lesions, so that the same command goes on where it was stopped.
"""

from collections.abc import Iterator, Mapping
from typing import get_args

import numpy as np

from benchmarks import environment
from benchmarks.row import Bar, Benchmark, Measured, Row
from benchmarks.segmentation import resumed_and_spread, segmentation_networks
from benchmarks.studies.finished_study import finished, scored
from configs import lesions
from jaxkd.data.images.lesions.appearance import Severity
from jaxkd.evals.bootstrap import mean_interval
from jaxkd.evals.comparison import compare
from jaxkd.evals.headline import DICE
from jaxkd.study import Study
from jaxkd.training.results.evaluation import Evaluation

MARGIN = 0.01
"""Dice that VFFM-UNet may lack of a plain U-Net of three times its parameters."""

STUDENTS = (
    ("student_20_of_600_distilled", "student_20"),
    ("student_60_of_600_distilled", "student_60"),
    ("student_60_distilled", "student_60"),
    ("student_600_distilled", "student_600"),
)
"""Students with a teacher and without one; the bar is for the first pair."""

ByStage = Mapping[str, tuple[Evaluation, ...]]
"""Evaluations of each stage by one evaluator, one for each seed."""


def measure(quick: bool) -> Measured:
    """Measure all of it; quick: no timings, and the study in miniature, without bars on what it finds."""
    rows = [*segmentation_networks.measure(quick).rows, *resumed_and_spread.rows()]
    study = lesions.get_config("smoke" if quick else "full")
    with finished(study, kept=not quick) as workdir:
        found = scored(study, workdir)
    whole, severe = ({name: each[one] for name, each in found.items()} for one in ("segmentation", "severe"))
    rows += _study_rows(study, whole, severe, judged=not quick)
    return Measured(rows=tuple(rows), environment=environment.here())


BENCHMARK = Benchmark(
    name="segmentation",
    summary="VFFM-UNet's counts and forms; lesions from mild to severe with a student; killed runs; eight devices",
    measure=measure,
)


def _study_rows(study: Study, whole: ByStage, severe: ByStage, *, judged: bool) -> Iterator[Row]:
    for name, evaluations in whole.items():
        yield _dice(f"{name}: Dice", evaluations)
        for level in get_args(Severity):
            yield _dice(f"{name}: Dice, {level}", evaluations, level)
    for first, second in study.comparisons:
        # A mean of the difference alone: VFFM-UNet is judged against a margin.
        bar = Bar(relation=">=", limit=-MARGIN) if judged and (first, second) == ("vffm_unet", "unet") else None
        yield _difference(whole, first, second, "all images", bar)
    for taught, alone in STUDENTS:
        difference = _difference(severe, taught, alone, "severe images", None)
        yield difference
        yield Row(
            figure=f"{taught} - {alone}: lower end of the interval on severe images",
            value=(difference.interval or (0.0, 0.0))[0],
            unit="Dice",
            bar=Bar(relation=">", limit=0) if judged and (taught, alone) == STUDENTS[0] else None,
        )


def _dice(figure: str, evaluations: tuple[Evaluation, ...], level: str = "") -> Row:
    """Return the mean over images whose keys end with a level; the interval is over images and seeds."""
    keys = evaluations[0].keys
    chosen = [place for place, key in enumerate(keys) if key.endswith(level)]
    values = np.array([one.per_example["dice"] for one in evaluations])[:, chosen]
    found = mean_interval(values)
    samples = tuple(np.mean(values, axis=1).tolist())
    return Row(figure=figure, value=found.estimate, unit="", samples=samples, interval=(found.low, found.high))


def _difference(found: ByStage, first: str, second: str, images: str, bar: Bar | None) -> Row:
    interval = compare(first, found[first], second, found[second], headline=DICE).interval
    return Row(
        figure=f"{first} - {second}: {images}, with a 95 % interval over images and seeds",
        value=interval.estimate,
        unit="Dice",
        bar=bar,
        interval=(interval.low, interval.high),
    )
