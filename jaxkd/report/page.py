"""The report of a study as one HTML file, without scripts and without requests."""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxkd.evals.comparison import Comparison
from jaxkd.evals.headline import Headline
from jaxkd.evals.start_comparison import StartComparison
from jaxkd.report import cells, document, figures, svg, training_curves
from jaxkd.report.dynamics import forecast_figures, profile_figures
from jaxkd.report.stages import Model, StageReport, all_columns, all_counts, best, by_label
from jaxkd.report.start import answers, rows
from jaxkd.report.vision import picture_cards
from jaxkd.training.results.forecast import Forecast

_RECORDS = 4
"""Maximum number of records whose forecasts are drawn."""


def write_report(
    path: Path,
    *,
    title: str,
    headline: Headline,
    description: str,
    summary: Mapping[str, Any],
    stages: Sequence[StageReport],
    comparisons: Sequence[Comparison],
    command: str,
    config_text: str,
    against: StartComparison | None = None,
) -> None:
    """Write the report atomically, replacing an existing file.

    Args:
        path: output file.
        title: title of the study.
        headline: figure by which the models are compared.
        description: paragraphs below the title, separated by empty lines.
        summary: facts for the head of the page; values that are neither text nor numbers are left out.
        stages: stages in the order of the table.
        comparisons: pairs of models that the study compares.
        command: command that reproduces the study.
        config_text: the whole configuration, as text.
        against: the models beside the start of the study, if the study compares them.

    Raises:
        ValueError: no stages.
    """
    models = by_label(stages, headline)
    scored = [model for model in models if model.is_scored()]
    bars = [figures.Bar(label=model.label, color=model.color, values=model.values()) for model in scored]
    columns = cells.filled(_columns(headline, models), models)
    records = _records(models)
    metrics = sorted({name for stage in stages for name in stage.metrics})
    members = [stage for model in models for stage in model.stages]
    document.write(
        path,
        "study.html.jinja",
        title=title,
        paragraphs=[" ".join(part.split()) for part in description.split("\n\n") if part.strip()],
        facts=[(_words(name), text) for name, value in summary.items() if (text := _fact(name, value)) is not None],
        findings=[(one.interval.excludes_zero, _sentence(str(one))) for one in comparisons],
        differences=_both_widths(figures.intervals, comparisons),
        headline=headline,
        bars=_both_widths(functools.partial(figures.bars, title=headline.title), bars),
        several_seeds=any(len(bar.values) > 1 for bar in bars),
        columns=[name for name, _ in columns],
        rows=[(model, [cell(model) for _, cell in columns]) for model in models],
        best=best(models),
        start=None if against is None else against.start,
        measures=[] if against is None else rows.groups(against),
        wrong=[] if against is None else rows.findings(against),
        by_label={model.label: model for model in models},
        palette=len(svg.PALETTE),
        panels=training_curves.panels(models, headline),
        equations=_equations(models).items(),
        records=len(records),
        forecasts=[_forecast(key, names, of) for (key, names), of in list(records.items())[:_RECORDS]],
        pictures=picture_cards.groups(models),
        samples=_samples(models, against),
        legend=answers.legend(_start_first(models, against)),
        sources=_sources(models).items(),
        command=command,
        metrics=[_words(cells.metric_name(*name.split("/", 1)) if "/" in name else name) for name in metrics],
        runs=[(_run_name(stage), [cells.number(stage.metrics.get(name)) for name in metrics]) for stage in members],
        config_text=config_text,
    )


def _both_widths(draw: Callable[..., str], data: Sequence[object]) -> tuple[str, str] | None:
    """Draw a figure for the page and for a narrow screen; None without data."""
    return (draw(data, width=figures.PAGE), draw(data, width=figures.NARROW)) if data else None


def _columns(headline: Headline, models: Sequence[Model]) -> list[cells.Cells]:
    return [
        (headline.unit, cells.headline),
        ("by seed", cells.seeds),
        ("method", cells.method),
        *cells.named(all_columns(models)),
        ("steps", cells.steps),
        *cells.trained_on(all_counts(models)),
        ("time\nof the steps", cells.training_time),
    ]


def _records(models: Sequence[Model]) -> dict[tuple[str, tuple[str, ...]], list[tuple[Model, Forecast]]]:
    """Collect the models' forecasts by record, from each model's first seed that has any."""
    found: dict[tuple[str, tuple[str, ...]], list[tuple[Model, Forecast]]] = {}
    for model in models:
        for one in next((stage.forecasts for stage in model.stages if stage.forecasts), ()):
            found.setdefault((one.key, one.names), []).append((model, one))
    return found


def _forecast(key: str, names: tuple[str, ...], of: Sequence[tuple[Model, Forecast]]) -> tuple[str, str, str]:
    """Draw one record with a curve per model; return the record's key, a note and the drawing."""
    if of[0][1].places:
        return key, "", profile_figures.profiles(of)
    states = forecast_figures.STATES
    note = f"the first {states} of {len(names)} states" if len(names) > states else ""
    return key, note, forecast_figures.forecast(of)


def _equations(models: Sequence[Model]) -> dict[str, list[tuple[Model | None, str]]]:
    """Return the true right-hand side of each state, if known, and those of the models, from their first seeds."""
    found: dict[str, list[tuple[Model | None, str]]] = {}
    for model in models:
        for one in next((stage.equations for stage in model.stages if stage.equations), ()):
            rows = found.setdefault(one.state, [(None, one.truth)] if one.truth else [])
            rows.append((model, one.learnt))
    return found


_Answers = tuple[str, answers.Parts | None, list[tuple[Model, answers.Parts | None]]]
"""A prompt, its reference, and an answer of each model."""


def _samples(models: Sequence[Model], against: StartComparison | None) -> list[_Answers]:
    """Return each prompt, its reference and one answer per model, from each model's first seed that has samples.

    The start of the study comes first, and where it is compared a set without references has none.
    """
    first = [(model, answers.first_with_samples(model)) for model in _start_first(models, against)]
    by_model = [
        (
            model,
            {sample.prompt: answers.shown(sample.text, list(stage.shared_ends.values())) for sample in stage.samples},
        )
        for model, stage in first
        if stage is not None
    ]
    references = {sample.prompt: sample.reference for _, stage in first if stage for sample in stage.samples}
    hidden = against is not None and not any(text.strip() for text in references.values())
    return [
        (prompt, None if hidden else answers.shown(reference, ()), [(model, of.get(prompt)) for model, of in by_model])
        for prompt, reference in references.items()
    ]


def _start_first(models: Sequence[Model], against: StartComparison | None) -> list[Model]:
    return sorted(models, key=lambda model: against is not None and model.label != against.start)


def _sources(models: Sequence[Model]) -> dict[str, list[str]]:
    """Return the labels of the models that share each provenance."""
    found: dict[str, list[str]] = {}
    for model in models:
        for source in dict.fromkeys(stage.provenance for stage in model.stages if stage.provenance):
            found.setdefault(source, []).append(model.label)
    return found


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].replace(" %", "\N{NO-BREAK SPACE}%")


def _run_name(stage: StageReport) -> str:
    return stage.label if stage.seed is None else f"{stage.label}, seed {stage.seed}"


def _words(name: str) -> str:
    return {"seconds": "wall time"}.get(name, name.removesuffix("_gb").replace("_", " ").replace("/", ", "))


def _fact(name: str, value: object) -> str | None:
    """Return a fact for the head of the page, or None if it takes more than a few words."""
    if isinstance(value, Mapping):
        # One value per model, e.g. the number of answers: a single fact if they agree.
        values = list(value.values())
        same = values and all(isinstance(one, int) and one == values[0] for one in values)
        return _fact(name, values[0]) if same else None
    if isinstance(value, list | tuple):
        facts = [_fact(name, one) for one in value]
        return ", ".join(fact for fact in facts if fact) if facts and None not in facts else None
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if name == "seconds":
        return cells.duration(value)
    if name.endswith("_gb"):
        return f"{value:.1f} GB"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
