"""The report of a study as one HTML file, without scripts and without requests."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from jaxkd.evals.bootstrap import Comparison
from jaxkd.evals.headline import Headline
from jaxkd.report import cells, document, figures, svg
from jaxkd.report.document import escaped
from jaxkd.report.dynamics import forecast_figures, profile_figures
from jaxkd.report.stages import Model, StageReport, best, by_label
from jaxkd.training.evaluator import Forecast


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
) -> None:
    """Write the report, whole or not at all.

    Args:
        path: of the file; a report that is there is replaced.
        title: of the study.
        headline: the figure by which the models are compared.
        description: paragraphs below it, divided by empty lines.
        summary: facts for the head of the page; what is neither text nor a number is left out.
        stages: in the order of the table.
        comparisons: the pairs of models that the study set out to compare.
        command: that makes the study again.
        config_text: the whole configuration, as text.

    Raises:
        ValueError: no stages.
    """
    models = by_label(stages, headline)
    body = [
        _head(title, description, summary),
        _findings(comparisons),
        _headline(models, headline),
        _training(models, headline),
        _forecasts(models),
        _samples(models),
        _origin(models, command, config_text),
    ]
    document.write(path, title=title, body=body)


def _head(title: str, description: str, summary: Mapping[str, Any]) -> str:
    parts = [" ".join(part.split()) for part in description.split("\n\n")]
    facts = [(_words(name), value) for name, fact in summary.items() if (value := _fact(name, fact)) is not None]
    return document.head(title, paragraphs=[part for part in parts if part], facts=facts)


def _findings(comparisons: Sequence[Comparison]) -> str:
    if not comparisons:
        return ""
    items = "".join(f'<li class="{_clarity(one)}">{escaped(_sentence(str(one)))}</li>' for one in comparisons)
    return (
        f'<section><h2>What was found</h2><ul class="findings">{items}</ul>'
        + document.figure(
            "Paired differences", "the same answers under both models, resampled", figures.intervals(comparisons)
        )
        + "</section>"
    )


def _headline(models: Sequence[Model], headline: Headline) -> str:
    scored = [model for model in models if model.is_scored()]
    picture = ""
    if scored:
        several = any(len(model.values()) > 1 for model in scored)
        note = "lower is better" + ("; a dot is one training seed, the bar is their mean" if several else "")
        rows = [figures.Bar(label=model.label, color=model.color, values=model.values()) for model in scored]
        picture = document.figure(headline.title, note, figures.bars(rows, title=headline.title))
    return f"<section><h2>How good the models are</h2>{picture}{_table(models, headline)}</section>"


def _table(models: Sequence[Model], headline: Headline) -> str:
    lowest = best(models)
    columns: list[cells.Column] = [
        (headline.unit, cells.headline),
        ("by seed", cells.seeds),
        ("nats per token", lambda model: cells.number(model.mean("nats_per_token"))),
        *cells.others(),
        ("steps", cells.steps),
        ("answer tokens\ntrained on", cells.trained_tokens),
        ("time\nof the steps", cells.training_time),
    ]
    columns = cells.filled(columns, models)
    head = "".join(f'<th scope="col">{escaped(name).replace(chr(10), "<br>")}</th>' for name, _ in columns)
    rows = []
    for model in models:
        chip = f'<span class="chip" style="--color: {_css_color(model)}"></span>'
        values = "".join(f"<td>{escaped(cell(model))}</td>" for _, cell in columns)
        kind = "best" if model is lowest else "other"
        rows.append(f'<tr class="{kind}"><th scope="row">{chip}{escaped(model.label)}</th>{values}</tr>')
    note = ""
    if lowest is not None:
        note = '<p class="note">Underlined: the lowest figure among the models that were trained here.</p>'
    return (
        f'<div class="scroll"><table><thead><tr><th scope="col">model</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>{note}"
    )


_Panel: TypeAlias = tuple[str, str, str, figures.Size]
"""The metric, what stands above its curves, its unit, and how much room it takes."""

_PANELS: tuple[_Panel, ...] = (
    ("train/cross_entropy", "Cross entropy", "nats a token", "half"),
    ("train/divergence", "Divergence from the teacher", "nats a token", "half"),
    ("train/slope_error", "Error of the rates of change", "share of their spread", "half"),
    ("train/segment_error", "Error of short forecasts", "share of the spread", "half"),
    ("learning_rate", "Learning rate", "", "strip"),
)


def _training(models: Sequence[Model], headline: Headline) -> str:
    validation: _Panel = (f"validation/{headline.metric}", "Validation split", headline.unit, "wide")
    panels = (validation, *_PANELS)
    drawn = {name: curves for name, *_ in panels if (curves := _curves(models, name))}
    if not drawn:
        return ""
    # A panel that has no neighbour takes the whole row, and so does one with many names at its side.
    alone = sum(name in drawn for name, _, _, size in panels if size == "half") == 1
    crowded = any(len({curve.label for curve in curves}) > len(svg.PALETTE) for curves in drawn.values())
    pictures: dict[str, list[str]] = {"wide": [], "half": [], "strip": []}
    for name, title, unit, size in panels:
        if name in drawn:
            shown: figures.Size = "wide" if (alone or crowded) and size == "half" else size
            pictures[shown].append(_panel(drawn[name], title, unit, shown))
    smoothed = any(len(curve.values) >= figures.SMOOTHED_FROM for curves in drawn.values() for curve in curves)
    note = '<p class="note">A faint line is the value of each step, the line over it its running mean.</p>'
    half = f'<div class="panels">{"".join(pictures["half"])}</div>'
    return (
        f"<section><h2>How they were trained</h2>{note if smoothed else ''}"
        f"{''.join(pictures['wide'])}{half}{''.join(pictures['strip'])}</section>"
    )


def _panel(curves: list[figures.Line], title: str, unit: str, size: figures.Size) -> str:
    notes = [unit] if unit else []
    if figures.is_logarithmic(curves):
        notes.append("log axis")
    several = len({curve.label for curve in curves}) > 1
    if several and len({(curve.steps, curve.values) for curve in curves}) == 1:
        # One schedule for all: a single line that belongs to nobody.
        curves = [dataclasses.replace(curves[0], label="", color=None)]
        notes.append("the same for all")
    return document.figure(title, ", ".join(notes), figures.lines(curves, description=f"{title} by step", size=size))


def _curves(models: Sequence[Model], name: str) -> list[figures.Line]:
    """One curve for each seed that has the metric."""
    found = [(model, *stage.series(name)) for model in models for stage in model.stages]
    return [
        figures.Line(label=model.label, color=model.color, steps=steps, values=values)
        for model, steps, values in found
        if steps
    ]


_RECORDS = 4
"""As many forecasts are drawn."""


def _forecasts(models: Sequence[Model]) -> str:
    """A figure a record, with a curve a model: each model's first seed that has forecasts."""
    found: dict[tuple[str, tuple[str, ...]], list[tuple[Model, Forecast]]] = {}
    for model in models:
        for one in next((stage.forecasts for stage in model.stages if stage.forecasts), ()):
            found.setdefault((one.key, one.names), []).append((model, one))
    if not found:
        return ""
    drawn = []
    for (key, names), of in list(found.items())[:_RECORDS]:
        if of[0][1].places:
            drawn.append(document.figure(key, "", profile_figures.profiles(of)))
            continue
        states = forecast_figures.STATES
        note = f"the first {states} of {len(names)} states" if len(names) > states else ""
        drawn.append(document.figure(key, note, forecast_figures.forecast(of)))
    left_out = f" These are the first {_RECORDS} of {len(found)} records." if len(found) > _RECORDS else ""
    return (
        '<section class="forecasts"><h2>What they forecast</h2>'
        f'<p class="note">Each model goes on from the first state of the record.{left_out}</p>'
        f"{''.join(drawn)}</section>"
    )


def _samples(models: Sequence[Model]) -> str:
    """A card a prompt, with a column a model: each model's first seed that has samples."""
    by_model = []
    for model in models:
        samples = next((stage.samples for stage in model.stages if stage.samples), ())
        if samples:
            by_model.append((model, {sample.prompt: sample for sample in samples}))
    prompts = {sample.prompt: sample.reference for _, found in by_model for sample in found.values()}
    if not prompts:
        return ""
    cards = []
    for prompt, reference in prompts.items():
        columns = _answer("reference", "var(--muted)", reference) + "".join(
            _answer(model.label, _css_color(model), found[prompt].text if prompt in found else None)
            for model, found in by_model
        )
        cards.append(
            f'<article><div class="prompt"><h4>prompt</h4><pre>{escaped(prompt)}</pre></div>'
            f'<div class="answers">{columns}</div></article>'
        )
    return (
        '<section class="samples"><h2>What they write</h2>'
        '<p class="note">The same prompts for every model; the reference is the answer of the data.</p>'
        f"{''.join(cards)}</section>"
    )


def _answer(label: str, color: str, text: str | None) -> str:
    if text is None:
        body = '<pre class="empty">not sampled</pre>'
    elif not text.strip():
        body = '<pre class="empty">empty answer</pre>'
    else:
        body = f"<pre>{escaped(text.strip(chr(10)))}</pre>"
    return f'<div class="answer" style="--color: {color}"><h4>{escaped(label)}</h4>{body}</div>'


def _origin(models: Sequence[Model], command: str, config_text: str) -> str:
    sources: dict[str, list[str]] = {}
    for model in models:
        for line in dict.fromkeys(stage.provenance for stage in model.stages if stage.provenance):
            sources.setdefault(line, []).append(model.label)
    lines = "".join(
        f"<dt>{escaped(', '.join(labels))}</dt><dd>{escaped(line)}</dd>" for line, labels in sources.items()
    )
    names = sorted({name for model in models for stage in model.stages for name in stage.metrics})
    rows = "".join(
        f'<tr><th scope="row">{escaped(_run_name(stage))}</th>'
        + "".join(f"<td>{cells.number(stage.metrics.get(name))}</td>" for name in names)
        + "</tr>"
        for model in models
        for stage in model.stages
    )
    head = "".join(f'<th scope="col">{escaped(_words(name))}</th>' for name in names)
    command = f'<h3>Command</h3><pre class="block">{escaped(command)}</pre>' if command else ""
    return (
        "<section><h2>Where this comes from</h2>"
        + (f'<dl class="provenance">{lines}</dl>' if lines else "")
        + command
        + f'<details><summary>All metrics</summary><div class="scroll"><table><thead><tr><th scope="col">run</th>{head}'
        f"</tr></thead><tbody>{rows}</tbody></table></div></details>"
        f'<details><summary>Configuration</summary><pre class="block">{escaped(config_text)}</pre></details></section>'
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].replace(" %", "\N{NO-BREAK SPACE}%")


def _css_color(model: Model) -> str:
    return "var(--series-neutral)" if model.color is None else f"var(--series-{model.color % len(svg.PALETTE)})"


def _clarity(comparison: Comparison) -> str:
    return "clear" if comparison.interval.excludes_zero else "open"


def _run_name(stage: StageReport) -> str:
    return stage.label if stage.seed is None else f"{stage.label}, seed {stage.seed}"


def _words(name: str) -> str:
    return {"seconds": "wall time"}.get(name, name.removesuffix("_gb").replace("_", " ").replace("/", ", "))


def _fact(name: str, value: object) -> str | None:
    """A fact for the head of the page; None where it takes more than a few words."""
    if isinstance(value, Mapping):
        # The number of answers, say, of each model: one fact where they agree.
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
