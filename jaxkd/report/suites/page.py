"""Results of a suite as one HTML file: tables, levels as a picture, and the best and worst answers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxkd.evals.suites.results import SuiteResult
from jaxkd.report import document, figures, svg
from jaxkd.report.suites import figures as suite_figures
from jaxkd.report.suites.rows import NOT_APPLICABLE, cell, difference, remarks, report_rows

_EACH = 2
"""Number of the best and of the worst answers of a task that are shown."""


def write_page(
    path: Path,
    results: Sequence[SuiteResult],
    labels: Sequence[str],
    *,
    description: str,
    answers: Sequence[Mapping[str, Any]],
    command: str,
) -> None:
    """Write the page atomically, replacing an existing file.

    Args:
        path: output file.
        results: results of one suite, a model each; the first is compared with the others.
        labels: name of each model.
        description: line about the suite.
        answers: rows of the first model's `scores.jsonl`.
        command: command that reproduces the page.
    """
    rows = report_rows(results)
    drawn = any(one is not None for row in rows for one in row.results)
    first = results[0]
    document.write(
        path,
        "suite.html.jinja",
        title=f"{first.suite} {first.version}",
        paragraphs=[description] if description else [],
        facts=[
            ("models", str(len(results))),
            ("rows", f"{sum(task.scored for task in first.tasks):,}"),
            ("seed", str(first.seed)),
        ],
        labels=labels,
        palette=len(svg.PALETTE),
        models=[(label, result.model, result.judge) for label, result in zip(labels, results, strict=True)],
        levels=[suite_figures.levels(rows, labels, width=width) for width in (figures.PAGE, figures.NARROW) if drawn],
        rows=[
            (
                row,
                [cell(one) for one in row.results],
                [(one is not None and one.excludes_zero, difference(one)) for one in row.differences],
            )
            for row in rows
        ],
        aggregates=[
            (
                name,
                [
                    NOT_APPLICABLE if one.value is None else f"{one.value:.2f}"
                    for one in (result.aggregates[name] for result in results)
                ],
                ", ".join(dict.fromkeys(term for result in results for term in result.aggregates[name].missing)),
            )
            for name in first.aggregates
        ],
        remarks=remarks(results, labels).items(),
        samples=_samples(first, answers),
        command=command,
    )


def _samples(
    result: SuiteResult, answers: Sequence[Mapping[str, Any]]
) -> list[tuple[str, str, list[Mapping[str, Any]]]]:
    """Return the worst and the best answers of each task by its first metric, by margin where options were compared."""
    found = []
    for task in result.tasks:
        of_task = [one for one in answers if one["task"] == task.id]
        if task.metrics and of_task:
            metric = task.metrics[0].metric
            ranked = sorted(of_task, key=lambda one: (one["values"][metric] or 0.0, _margin(one)))
            chosen = [*ranked[-_EACH:][::-1], *ranked[:_EACH]] if len(ranked) >= 2 * _EACH else ranked[::-1]
            found.append((task.id, metric, chosen))
    return found


def _margin(answer: Mapping[str, Any]) -> float:
    """Log-likelihood of the right option above the best other one, in nats; 0 for a reply."""
    scores, right = answer["log_likelihoods"], answer["answer"]
    if not scores:
        return 0.0
    return scores[right] - max(score for place, score in enumerate(scores) if place != right)
