"""Detection as a whole: the networks, one branch and two in drawn pairs of images, and trees of another forest.

The runs of both studies are kept in runs/, so that the same command goes on where it was stopped.
"""

import dataclasses
from collections.abc import Iterator
from typing import get_args

from benchmarks import environment
from benchmarks.detection import detectors, motorcycle
from benchmarks.detection.precision import by_condition, difference, precision
from benchmarks.row import Bar, Benchmark, Measured, Row
from benchmarks.studies.finished_study import Scored, finished, scored
from configs import rgbt, trees
from jaxkd.data.images.scenes.conditions import Condition
from jaxkd.study import Study

LACKED = 0.02
"""Bar: AP50 that one branch may lack of two."""


def measure(quick: bool) -> Measured:
    """Measure all of it; quick: no timings, and the studies in miniature, without bars on what they find."""
    rows = [*motorcycle.rows(), *detectors.rows(repeats=0 if quick else 15)]
    size = "smoke" if quick else "full"
    for study in (rgbt.get_config(size), trees.get_config(size)):
        with finished(study, kept=not quick) as workdir:
            found = scored(study, workdir)
        rows += _trees(study, found) if study.name == "trees" else _pairs(study, found, judged=not quick)
    return Measured(rows=tuple(rows), environment=environment.here())


BENCHMARK = Benchmark(
    name="detection",
    summary="detectors' counts and ShaPE's weights; one branch and two in drawn pairs of images; trees across sites",
    measure=measure,
)


def _pairs(study: Study, found: Scored, *, judged: bool) -> Iterator[Row]:
    models = {name: each["detection"] for name, each in found.items()}
    for name, evaluations in models.items():
        yield from by_condition(name, evaluations, get_args(Condition))
    for first, second in study.comparisons:
        figure = f"{first} - {second}: AP50"
        mean, low, share = difference(figure, models[first], models[second])
        if judged and (first, second) == ("plain_core_long", "teacher"):
            mean = dataclasses.replace(mean, bar=Bar(relation=">=", limit=-LACKED))
        if judged and (first, second) == ("plain_core", "plain"):
            low = dataclasses.replace(low, bar=Bar(relation=">", limit=0))
        yield from (mean, low, share)
        for condition in get_args(Condition):
            yield difference(f"{figure}, {condition}", models[first], models[second], condition=condition)[0]
    for name, each in found.items():
        for offset in rgbt.OFFSETS:
            if f"offset_{offset:g}" in each:
                yield precision(f"{name}: AP50, visible image moved by {offset:g} px", each[f"offset_{offset:g}"])


def _trees(study: Study, found: Scored) -> Iterator[Row]:
    for name, each in found.items():
        yield precision(f"trees, {name}: AP50 at other sites", each["detection"])
        yield precision(f"trees, {name}: AP50 at the site that was learnt", each[trees.HOME])
    for first, second in study.comparisons:
        for evaluator, where in (("detection", "other sites"), (trees.HOME, "the site that was learnt")):
            yield from difference(
                f"trees, {first} - {second}: AP50 at {where}", found[first][evaluator], found[second][evaluator]
            )
