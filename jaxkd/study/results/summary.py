"""Results of a study, from the files of its stages: a table, `summary.json` and `report.html`."""

import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxkd import report
from jaxkd.evals.comparison import Comparison, compare
from jaxkd.evals.headline import Headline
from jaxkd.runtime import configs, metric_writer
from jaxkd.runtime.storage.files import write_json
from jaxkd.study.results.start import ShownAnswers, beside_start, evaluators_of, to_json
from jaxkd.study.results.usage import Usage
from jaxkd.study.study import Study, stage_folder
from jaxkd.training.evaluator import Column
from jaxkd.training.recipe import Recipe
from jaxkd.training.results.evaluation import Evaluation
from jaxkd.training.stage import Stage
from jaxkd.training.stage_folder import read_evaluations
from jaxkd.training.train_stage import Train


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Result:
    """Finished run of a stage that has a row in the table."""

    stage: Stage
    label: str
    seed: int
    folder: Path
    scored: Evaluation
    """Evaluation by the headline's evaluator."""
    others: dict[str, Evaluation]
    """Other evaluations, by name."""


def write_summary(study: Study, workdir: Path, *, command: str = "") -> dict[str, Any]:
    """Write the files, print the table, and return the contents of `summary.json`.

    Stages that are not finished are left out, so a summary can be made at any time.

    Args:
        study: study as it was run.
        workdir: folder of the study.
        command: command as the user typed it, for the report.
    """
    headline = study.headline
    results = _results(study, workdir)
    scored: dict[str, dict[int, Evaluation]] = {result.label: {} for result in results}
    for result in results:
        scored[result.label][result.seed] = result.scored
    comparisons = _comparisons(study, results, study.seeds)
    usage = Usage(workdir)
    by_seed = {
        label: {seed: one.metrics[headline.metric] for seed, one in found.items()} for label, found in scored.items()
    }
    others: dict[str, dict[str, dict[int, float]]] = {}
    for result in results:
        for name, value in _other_metrics(result).items():
            others.setdefault(name, {}).setdefault(result.label, {})[result.seed] = value
    summary = {
        headline.metric: {label: sum(found.values()) / len(found) for label, found in by_seed.items()},
        f"{headline.metric}_by_seed": by_seed,
        "other_metrics_by_seed": others,
        headline.examples: {label: len(next(iter(found.values())).keys) for label, found in scored.items()},
        "comparisons": [_comparison_json(one) for one in comparisons],
        "comparisons_by_seed": {
            seed: [_comparison_json(one) for one in _comparisons(study, results, (seed,))] for seed in study.seeds
        },
        "seconds": usage.seconds(),
        "peak_memory_gb": usage.peak_memory_gb(),
        "seed": study.seeds[0] if len(study.seeds) == 1 else list(study.seeds),
    }
    beside = beside_start(study, workdir)
    if beside is not None:
        summary["against"] = to_json(beside.comparison)
    write_json(workdir / "summary.json", summary)
    if results:
        stages = [_stage_report(result, headline) for result in results]
        if beside is not None:
            stages = _with_answers(stages, beside.answers)
        against = None if beside is None else beside.comparison
        report.write_report(
            workdir / "report.html",
            title=study.title,
            headline=headline,
            description=study.description,
            summary=summary,
            stages=stages,
            comparisons=comparisons,
            command=command,
            config_text=json.dumps(_fields(study), indent=1),
            against=against,
        )
        report.print_summary(stages, comparisons, headline=headline, against=against, file=sys.stdout)
        sys.stdout.write(f"\n{workdir / 'summary.json'}\n{workdir / 'report.html'}\n")
    return summary


def _results(study: Study, workdir: Path) -> list[_Result]:
    found = []
    for stage in study.stages:
        for seed in study.seeds_of(stage):
            folder = stage_folder(workdir, stage, seed)
            others = read_evaluations(folder) or {}
            scored = others.pop(study.headline.measured_by, None)
            if stage.label and scored is not None:
                _require_metric(scored, study.headline, folder)
                found.append(
                    _Result(stage=stage, label=stage.label, seed=seed, folder=folder, scored=scored, others=others)
                )
    # Models that no training changes come first, whenever their stages ran: they are what the others stand beside.
    return sorted(found, key=lambda result: result.stage.seeded)


def _require_metric(scored: Evaluation, headline: Headline, folder: Path) -> None:
    if headline.metric not in scored.metrics:
        raise ValueError(
            f"headline.metric must be a metric of {headline.measured_by}, got {headline.metric!r}. {folder} has "
            f"{', '.join(scored.metrics)}. Name one of them: nothing has to run again."
        )


def _stage_report(result: _Result, headline: Headline) -> report.StageReport:
    samples, evaluations = result.others.get("samples"), (result.scored, *result.others.values())
    recipe = result.stage.recipe if isinstance(result.stage, Train) else None
    return report.StageReport(
        name=result.stage.name,
        label=result.label,
        metrics=result.scored.metrics | _other_metrics(result),
        method="" if recipe is None else _method(recipe),
        history=metric_writer.read(result.folder) if result.stage.seeded else (),
        samples=samples.samples if samples is not None else (),
        forecasts=next((one.forecasts for one in evaluations if one.forecasts), ()),
        equations=next((one.equations for one in evaluations if one.equations), ()),
        pictures=next((one.pictures for one in evaluations if one.pictures), ()),
        curves=() if recipe is None else recipe.curves(),
        counted=None if recipe is None else recipe.counted,
        columns=_columns(result.stage, headline),
        provenance=result.stage.provenance(),
        seed=result.seed if result.stage.seeded else None,
    )


def _with_answers(stages: list[report.StageReport], answers: Mapping[str, ShownAnswers]) -> list[report.StageReport]:
    """Mark the ends that answers share; where no model was sampled to be read, show generations."""
    sampled = any(stage.samples for stage in stages)
    return [
        dataclasses.replace(
            stage,
            samples=stage.samples if sampled else answers[stage.name].samples,
            shared_ends=answers[stage.name].shared_ends,
        )
        for stage in stages
    ]


def _fields(study: Study) -> dict[str, Any]:
    """Encode a study; one without a start is shown as before there was that field."""
    fields = configs.encode(study)
    if study.against is None:
        del fields["against"]
    return fields


def _method(recipe: Recipe) -> str:
    """Return the name of a method, with those that it combines or wraps in parentheses."""
    values = [getattr(recipe, field.name) for field in dataclasses.fields(recipe)]
    each = [one for value in values for one in (value if isinstance(value, tuple) else (value,))]
    within = ", ".join(_method(one) for one in each if isinstance(one, Recipe))
    return f"{type(recipe).__name__} ({within})" if within else type(recipe).__name__


def _columns(stage: Stage, headline: Headline) -> tuple[Column, ...]:
    """Return the columns of a stage's evaluators, the headline's first, by the metrics' names in a report."""
    evaluators = evaluators_of(stage)
    own = [one for evaluator in evaluators if evaluator.name == headline.measured_by for one in evaluator.columns()]
    others = [
        dataclasses.replace(one, metric=f"{evaluator.name}/{one.metric}")
        for evaluator in evaluators
        if evaluator.name != headline.measured_by
        for one in evaluator.columns()
    ]
    return (*(one for one in own if one.metric != headline.metric), *others)


def _other_metrics(result: _Result) -> dict[str, float]:
    """Return the values of EVALUATOR/METRIC for all evaluators but the headline's."""
    return {
        f"{name}/{metric}": value
        for name, evaluation in result.others.items()
        for metric, value in evaluation.metrics.items()
    }


def _comparisons(study: Study, results: list[_Result], seeds: tuple[int, ...]) -> list[Comparison]:
    """Compare the study's pairs, each over those of `seeds` at which both are finished."""
    scored: dict[str, dict[int, Evaluation]] = {}
    for result in results:
        # A model that does not depend on the seed counts at each of them.
        at = (result.seed,) if result.stage.seeded else study.seeds
        scored.setdefault(result.label, {}).update(dict.fromkeys(at, result.scored))
    found = []
    for first, second in study.comparisons:
        both = [seed for seed in seeds if seed in scored.get(first, {}) and seed in scored.get(second, {})]
        if both:
            sides = (tuple(scored[label][seed] for seed in both) for label in (first, second))
            found.append(compare(first, next(sides), second, next(sides), headline=study.headline))
    return found


def _comparison_json(comparison: Comparison) -> dict[str, Any]:
    return {
        "first": comparison.first,
        "second": comparison.second,
        "metric": comparison.headline.metric,
        "unit": comparison.headline.unit,
        "better": comparison.headline.better,
        **dataclasses.asdict(comparison.interval),
        "sentence": str(comparison),
    }
