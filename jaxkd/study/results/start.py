"""A study's models beside its start: their measures, and answers to a few prompts, from the files of the stages."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxkd.evals.language.shared_end import SharedEnd, shared_end
from jaxkd.evals.start_comparison import MeasuredModel, StartComparison, StartDifference, compare_with_start
from jaxkd.study.evaluate_stage import Evaluate
from jaxkd.study.study import Study, stage_folder
from jaxkd.training.evaluator import Evaluator, Measure
from jaxkd.training.results.evaluation import Evaluation, Sample
from jaxkd.training.stage import Stage, referenced_stages
from jaxkd.training.stage_folder import read_evaluations
from jaxkd.training.train_stage import Train

PROMPTS = 4
"""Number of prompts whose answers are shown, over all sets of prompts, but at least `FEWEST` of each."""
FEWEST = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShownAnswers:
    """Answers of one model to the prompts that are shown of every model."""

    samples: tuple[Sample, ...]
    shared_ends: Mapping[str, SharedEnd]
    """End that many of all its answers share, those that are not shown included, by evaluator."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BesideStart:
    """Models of a study beside its start."""

    comparison: StartComparison
    answers: Mapping[str, ShownAnswers]
    """Answers by the name of the stage, from its first seed that has any."""


def beside_start(study: Study, workdir: Path) -> BesideStart | None:
    """Read the finished stages, and compare those that have a label with the one that the study names.

    Args:
        study: study as it was run.
        workdir: folder of the study.

    Returns:
        The comparison; None if the study asks for none, or if its start or all other models are not finished.

    Raises:
        ValueError: models that an evaluator measured on other examples than the start.
    """
    if study.against is None:
        return None
    (start,) = (stage for stage in study.stages if stage.name == study.against)
    # The start first: it is what the others stand beside.
    stages = [start, *(stage for stage in study.stages if stage.label and stage is not start)]
    found = {stage.name: _measured(study, stage, start, workdir) for stage in stages}
    begun = found.pop(start.name)
    models = {name: model for name, model in found.items() if model.evaluations}
    if not begun.evaluations or not models:
        return None
    return BesideStart(
        comparison=compare_with_start(begun, list(models.values())), answers=_answers({start.name: begun} | models)
    )


def evaluators_of(stage: Stage) -> tuple[Evaluator, ...]:
    """Return the evaluators that measure the result of a stage."""
    return stage.evaluators if isinstance(stage, Train | Evaluate) else ()


def to_json(comparison: StartComparison) -> dict[str, Any]:
    """Return the comparison as values of `summary.json`."""
    return {
        "start": comparison.start,
        "measures": [
            {
                "measure": one.name,
                "evaluator": one.evaluator,
                "metric": one.measure.metric or None,
                "unit": one.measure.unit,
                "better": one.measure.better,
                "examples": one.examples,
                "start": one.start,
                "models": {model.label: _difference_json(model) for model in one.models},
            }
            for one in comparison.measures
        ],
        "findings": {
            label: [
                {"evaluator": one.evaluator, "metric": one.metric, "seeds": list(one.seeds), "text": one.text}
                for one in comparison.findings
                if one.label == label
            ]
            for label in comparison.searched
        },
    }


def _difference_json(model: StartDifference) -> dict[str, Any]:
    interval = {} if model.interval is None else dataclasses.asdict(model.interval)
    interval.pop("estimate", None)
    return {
        "value": model.value,
        "difference": model.difference,
        **interval,
        "finding": model.found,
        "verdict": model.verdict,
    }


def _measured(study: Study, stage: Stage, start: Stage, workdir: Path) -> MeasuredModel:
    read = {seed: read_evaluations(stage_folder(workdir, stage, seed)) for seed in study.seeds_of(stage)}
    evaluations = {seed: found for seed, found in read.items() if found is not None}
    if not stage.seeded and evaluations:
        # A model that does not depend on the seed counts at each of them.
        evaluations = dict.fromkeys(study.seeds, next(iter(evaluations.values())))
    evaluators = evaluators_of(stage)
    return MeasuredModel(
        label=stage.label or stage.name,
        evaluators=evaluators,
        evaluations=evaluations,
        measures=tuple((one.name, _named(measure, study, start)) for one in evaluators for measure in one.measures()),
    )


def _named(measure: Measure, study: Study, start: Stage) -> Measure:
    """Complete the name of a measure that is relative to a model, whose own value is known where it is the start."""
    if measure.reference is None:
        return measure
    names = referenced_stages(measure.reference)
    model = start.model if isinstance(start, Evaluate) else None
    if names == {start.name} or measure.reference == model or (names and names == referenced_stages(model)):
        return dataclasses.replace(measure, name=f"{measure.name} the start")
    labels = [stage.label or stage.name for stage in study.stages if {stage.name} == names]
    return dataclasses.replace(measure, name=f"{measure.name} {(*labels, 'another model')[0]}", at_reference=None)


def _answers(models: Mapping[str, MeasuredModel]) -> dict[str, ShownAnswers]:
    """Choose the prompts and return the models' answers to them."""
    generated = {name: _generated(model) for name, model in models.items()}
    ends = {
        name: {evaluator: shared_end([one.text for one in found.samples]) for evaluator, found in of.items()}
        for name, of in generated.items()
    }
    sets = list(dict.fromkeys(evaluator for of in generated.values() for evaluator in of))
    chosen: dict[str, None] = {}
    for evaluator in sets:
        marked: dict[str, bool] = {}
        for name, of in generated.items():
            end = ends[name].get(evaluator)
            for one in of[evaluator].samples if evaluator in of else ():
                has_end = end is not None and end.start_in(one.text) is not None
                marked[one.prompt] = marked.get(one.prompt, False) or has_end
        # Those that show something first, each kind in its order.
        prompts = sorted(marked, key=lambda prompt: not marked[prompt])
        chosen |= dict.fromkeys(prompts[: max(FEWEST, PROMPTS // len(sets))])
    return {
        name: ShownAnswers(
            samples=tuple(_first(of.values(), chosen)),
            shared_ends={evaluator: end for evaluator, end in ends[name].items() if end is not None},
        )
        for name, of in generated.items()
    }


def _generated(model: MeasuredModel) -> dict[str, Evaluation]:
    """Evaluations of generations, by name, of the first seed that has any."""
    by_seed = [
        # No other evaluator has samples with this column.
        {name: one for name, one in found.items() if one.samples and "ended" in one.per_example}
        for found in model.evaluations.values()
    ]
    return next(filter(None, by_seed), {})


def _first(evaluations: Iterable[Evaluation], prompts: Mapping[str, None]) -> Iterator[Sample]:
    """Yield the first answer to each prompt."""
    answers: dict[str, Sample] = {}
    for evaluation in evaluations:
        for sample in evaluation.samples:
            answers.setdefault(sample.prompt, sample)
    yield from (answers[prompt] for prompt in prompts if prompt in answers)
