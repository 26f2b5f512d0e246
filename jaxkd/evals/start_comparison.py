"""Comparison of models with the start of their study, by several measures, on the examples that both were measured on.

A figure of all examples together, such as the variety of the words or the share of the commonest end, has no interval:
a resample holds some examples twice, which is repetition itself, so that its figure is biased.
"""

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set

import numpy as np

from jaxkd.evals.bootstrap import Interval
from jaxkd.evals.comparison import Comparison, compare
from jaxkd.evals.headline import Headline
from jaxkd.training.evaluator import Evaluator, Measure
from jaxkd.training.results.evaluation import Evaluation

NOT_DISTINGUISHABLE = "not distinguishable from its start"
NO_INTERVAL = "no interval"


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasuredModel:
    """A model of a study, and what was measured of it."""

    label: str
    evaluators: tuple[Evaluator, ...]
    evaluations: Mapping[int, Mapping[str, Evaluation]]
    """Evaluations by the evaluators' names, for each training seed; a model that no seed changes has them at each."""
    measures: tuple[tuple[str, Measure], ...]
    """Name of the evaluator and measure, in the order of the rows.  Where a measure has a value `at_reference`, its
    reference is the start."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StartDifference:
    """A measure of one model, and how it differs from its start."""

    label: str
    value: float | None
    """Mean over the seeds at which the start was measured too; None: the model has no such metric."""
    difference: float | None
    """Value minus that of the start, at the same seeds; None: one of them is missing."""
    interval: Interval | None
    """Interval of the difference over examples and seeds; None: the measure has none."""
    better: str | None
    """Direction of the measure that is better."""
    found: bool = False
    """Whether a finding is about this measure."""

    @property
    def is_clear(self) -> bool:
        """Whether the difference has an interval that excludes 0, or a finding is about it."""
        return self.found or (self.interval is not None and self.interval.excludes_zero)

    @property
    def verdict(self) -> str:
        """Plain words: better, worse, or not distinguishable, and whether there is a finding; empty if not compared."""
        if self.difference is None:
            return ""
        return f"{self._words}; finding" if self.found else self._words

    @property
    def _words(self) -> str:
        if self.interval is None:
            return NO_INTERVAL
        if not self.interval.excludes_zero:
            return NOT_DISTINGUISHABLE
        word = "higher" if self.interval.low > 0 else "lower"
        if self.better is not None:
            word = "better" if word == self.better else "worse"
        return f"{word} than its start"


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasureComparison:
    """One measure of the start and of each model."""

    measure: Measure
    name: str
    """The measure's, with the evaluator's in parentheses if several measure it."""
    evaluator: str | None
    """None: nothing measured it, and another measure misleads without it."""
    examples: int
    """Number of examples that it was measured on."""
    start: float | None
    """Value of the start, the mean over its seeds."""
    models: tuple[StartDifference, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """Line about something wrong with a model beside its start."""

    label: str
    evaluator: str
    metric: str
    text: str
    seeds: tuple[int, ...]
    """Training seeds at which it was found, in the same words."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StartComparison:
    """Models of a study beside their start."""

    start: str
    """Label of the start."""
    measures: tuple[MeasureComparison, ...]
    findings: tuple[Finding, ...]
    searched: tuple[str, ...]
    """Labels of the models in which something wrong was looked for."""


def compare_with_start(
    start: MeasuredModel,
    models: Sequence[MeasuredModel],
    *,
    samples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> StartComparison:
    """Compare models with the start of their study by every measure that one of them has.

    Each difference is that of `compare`: the same examples under both, and the same training seeds.  Examples are
    paired by key and prompt, whatever their order.  A measure that misleads without another is followed by that one.

    Args:
        start: model with which the others are compared.
        models: the others, in the order of a table.
        samples: number of resamples.
        seed: random seed of the resampling.
        confidence: level of the intervals.

    Returns:
        One row per measure; models without a metric have an empty value.

    Raises:
        ValueError: a model and the start that an evaluator measured on different examples.

    Source: inferred; the interval is that of `paired_bootstrap`.  Deviation: none.
    """
    found: dict[tuple[str, str, str], Measure] = {}
    for model in (start, *models):
        for evaluator, measure in model.measures:
            found.setdefault((evaluator, measure.metric, measure.name), measure)
    comparing = functools.partial(compare, samples=samples, seed=seed, confidence=confidence)
    lines, searched = _findings(start, models)
    about = {(one.label, one.evaluator, one.metric) for one in lines}
    rows = [
        _compared(evaluator, measure, start, models, comparing, about)
        for (evaluator, *_), measure in found.items()
        if any(_values(model, evaluator, measure) for model in (start, *models))
    ]
    return StartComparison(
        start=start.label, measures=tuple(_ordered(_named(rows), models)), findings=lines, searched=searched
    )


def _compared(
    evaluator: str,
    measure: Measure,
    start: MeasuredModel,
    models: Sequence[MeasuredModel],
    comparing: Callable[..., Comparison],
    about: Set[tuple[str, str, str]],
) -> MeasureComparison:
    evaluations = [one for model in (start, *models) for one in _evaluations(model, evaluator).values()]
    begun = _values(start, evaluator, measure)
    by_definition = measure.at_reference if not begun else None
    return MeasureComparison(
        measure=measure,
        name=measure.name,
        evaluator=evaluator,
        examples=len(evaluations[0].keys),
        start=_mean(begun.values()) if begun else by_definition,
        models=tuple(
            dataclasses.replace(
                _difference(evaluator, measure, start, model, comparing),
                found=(model.label, evaluator, measure.metric) in about,
            )
            for model in models
        ),
    )


def _difference(
    evaluator: str, measure: Measure, start: MeasuredModel, model: MeasuredModel, comparing: Callable[..., Comparison]
) -> StartDifference:
    ours, theirs = (_evaluations(one, evaluator) for one in (model, start))
    values, begun = (_values(one, evaluator, measure) for one in (model, start))
    if not begun and measure.at_reference is not None:
        # The start is the reference, which nobody measures against itself.
        theirs = {at: _at_reference(ours[at], measure) for at in values}
        begun = dict.fromkeys(values, measure.at_reference)
    seeds = [at for at in values if at in begun]
    if not seeds:
        value = _mean(values.values()) if values else None
        return StartDifference(label=model.label, value=value, difference=None, interval=None, better=measure.better)
    pairs = [(_aligned(model.label, ours[at], start.label, theirs[at], evaluator), theirs[at]) for at in seeds]
    value = _mean(values[at] for at in seeds)
    interval = None
    if all(_has_interval(one, measure) for pair in pairs for one in pair):
        headline = Headline(
            metric=measure.metric,
            title=measure.name,
            unit=measure.unit,
            evaluator=evaluator,
            better=measure.better or "lower",
            numerator=measure.numerator,
            denominator=measure.denominator,
            unit_size=measure.unit_size,
        )
        sides = ([pair[0] for pair in pairs], [pair[1] for pair in pairs])
        interval = comparing(model.label, sides[0], start.label, sides[1], headline=headline).interval
    return StartDifference(
        label=model.label,
        value=value,
        difference=value - _mean(begun[at] for at in seeds) if interval is None else interval.estimate,
        interval=interval,
        better=measure.better,
    )


def _evaluations(model: MeasuredModel, evaluator: str) -> dict[int, Evaluation]:
    return {seed: found[evaluator] for seed, found in model.evaluations.items() if evaluator in found}


def _values(model: MeasuredModel, evaluator: str, measure: Measure) -> dict[int, float]:
    """Values by seed of a model that has this measure, and not one of another reference under the metric's name."""
    wanted = (evaluator, measure.metric, measure.name)
    if wanted not in [(name, one.metric, one.name) for name, one in model.measures]:
        return {}
    found = _evaluations(model, evaluator)
    return {seed: one.metrics[measure.metric] for seed, one in found.items() if measure.metric in one.metrics}


def _at_reference(evaluation: Evaluation, measure: Measure) -> Evaluation:
    """Evaluation of the reference itself, of which each example has the known value."""
    value = measure.unit_size * (measure.at_reference or 0.0)
    weights = evaluation.per_example.get(measure.denominator or "", (1.0,) * len(evaluation.keys))
    known = {} if measure.numerator is None else {measure.numerator: tuple(value * weight for weight in weights)}
    return dataclasses.replace(evaluation, per_example=evaluation.per_example | known)


def _has_interval(evaluation: Evaluation, measure: Measure) -> bool:
    """Whether the columns are there, over two examples or more, and finite."""
    columns = [name for name in (measure.numerator, measure.denominator) if name is not None]
    return (
        measure.numerator is not None
        and len(evaluation.keys) > 1
        and set(columns) <= evaluation.per_example.keys()
        and bool(np.isfinite([evaluation.per_example[name] for name in columns]).all())
    )


def _aligned(label: str, evaluation: Evaluation, start: str, other: Evaluation, evaluator: str) -> Evaluation:
    """Put a model's examples into the order of its start's."""
    ours, theirs = _examples(evaluation), _examples(other)
    if ours == theirs:
        return evaluation
    places = {example: place for place, example in enumerate(ours)}
    if places.keys() != set(theirs):
        raise ValueError(
            f"{label!r} and its start {start!r} must be measured on the same examples by {evaluator!r}, got "
            f"{len(ours)} and {len(theirs)}, of which {len(places.keys() & set(theirs))} have the same key and prompt. "
            "Give both evaluators the same source, split, count and number of samples."
        )
    order = [places[example] for example in theirs]
    return dataclasses.replace(
        evaluation,
        keys=tuple(evaluation.keys[place] for place in order),
        per_example={name: tuple(column[place] for place in order) for name, column in evaluation.per_example.items()},
        samples=tuple(evaluation.samples[place] for place in order) if evaluation.samples else (),
        matches=tuple(evaluation.matches[place] for place in order) if evaluation.matches else (),
    )


def _examples(evaluation: Evaluation) -> list[tuple[str, str, int]]:
    """Key and prompt of each example, and how often they occurred before: prompts may have several answers."""
    # Files of one name in two folders have the same keys.
    sampled = len(evaluation.samples) == len(evaluation.keys)
    prompts = [one.prompt for one in evaluation.samples] if sampled else [""] * len(evaluation.keys)
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for example in zip(evaluation.keys, prompts, strict=True):
        found.append((*example, seen[example]))
        seen[example] += 1
    return found


def _named(rows: Sequence[MeasureComparison]) -> list[MeasureComparison]:
    """Add the evaluators' names to names that are not unique."""
    times = Counter(row.name for row in rows)
    return [
        dataclasses.replace(row, name=f"{row.name} ({row.evaluator})") if times[row.name] > 1 else row for row in rows
    ]


def _ordered(rows: Sequence[MeasureComparison], models: Sequence[MeasuredModel]) -> list[MeasureComparison]:
    """Move rows of one name together, to the last of them, and those that a measure asks for next to it.

    Where nothing measured what a measure asks for, an empty row stands there.
    """
    found: list[MeasureComparison] = []
    for place, row in enumerate(rows):
        if row in found or any(one.measure.name == row.measure.name for one in rows[place + 1 :]):
            continue
        same = [one for one in rows if one.measure.name == row.measure.name]
        found += [one for one in same if one not in found]
        beside = row.measure.beside
        if beside is not None:
            others = [one for one in rows if one.measure.name == beside]
            found += [one for one in others if one not in found] or ([] if others else [_missing(row, beside, models)])
    return found


def _missing(row: MeasureComparison, name: str, models: Sequence[MeasuredModel]) -> MeasureComparison:
    measure = Measure(metric="", name=name, better=row.measure.better, unit=row.measure.unit)
    nothing = {"value": None, "difference": None, "interval": None, "better": measure.better}
    return MeasureComparison(
        measure=measure,
        name=name,
        evaluator=None,
        examples=0,
        start=None,
        models=tuple(StartDifference(label=model.label, **nothing) for model in models),
    )


def _findings(start: MeasuredModel, models: Sequence[MeasuredModel]) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """Findings, and the labels of the models in which some were looked for."""
    found: dict[tuple[str, str, str, str], list[int]] = {}
    searched: dict[str, None] = {}
    for model in models:
        for seed, evaluations in model.evaluations.items():
            for evaluator in model.evaluators:
                ours, theirs = (side.get(evaluator.name) for side in (evaluations, start.evaluations.get(seed, {})))
                if ours is None or theirs is None or not evaluator.measures():
                    continue
                lines = evaluator.findings(_aligned(model.label, ours, start.label, theirs, evaluator.name), theirs)
                if lines is not None:
                    searched[model.label] = None
                for metric, line in (lines or {}).items():
                    found.setdefault((model.label, evaluator.name, metric, line), []).append(seed)
    return tuple(
        Finding(label=label, evaluator=evaluator, metric=metric, text=text, seeds=tuple(seeds))
        for (label, evaluator, metric, text), seeds in found.items()
    ), tuple(searched)


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)
