"""One evaluation of a model on a suite: ask, score, summarise, and keep all of it in a folder."""

import contextlib
import dataclasses
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxkd.evals.bootstrap import Interval
from jaxkd.evals.judges.rating import RatingJudge
from jaxkd.evals.suites import replies
from jaxkd.evals.suites.aggregates import Aggregated
from jaxkd.evals.suites.respondent import Respondent
from jaxkd.evals.suites.results import MetricResult, PositionBias, SuiteResult, TaskResult, summarise
from jaxkd.evals.suites.scores import Scored, score
from jaxkd.evals.suites.suite import Suite
from jaxkd.metrics import rouge_l
from jaxkd.runtime.environment import environment
from jaxkd.runtime.sandbox import Limits
from jaxkd.runtime.storage.files import read_json, write_json, write_text
from jaxkd.runtime.storage.folder_lock import locked

RESULT = "result.json"
SCORES = "scores.jsonl"
_ASKED = "suite.json"

_log = logging.getLogger(__name__)


def evaluate(
    suite: Suite,
    respondent: Respondent,
    *,
    folder: Path | None = None,
    judge: RatingJudge | None = None,
    seed: int = 0,
    limits: Limits | None = None,
) -> SuiteResult:
    """Evaluate a model on a suite.

    An interrupted evaluation goes on where it stopped: each answer is stored as it comes, and asked again only if its
    prompt, its settings or the model changed.

    Args:
        suite: the questions.
        respondent: the model.
        folder: folder of the evaluation: answers in `samples.jsonl`, the score of each in `scores.jsonl`, results in
            `result.json`; None stores nothing.
        judge: judge of `judge4`; without one the metric is not applicable.
        seed: random seed of the samples and of the intervals.
        limits: limits of the programs that `code` tasks run.

    Raises:
        BlockingIOError: another process writes to the folder.
        ModuleNotFoundError: a suite that asks for jieba or rouge_score where it is not installed.
        ValueError: a folder with the answers to another suite.
    """
    for task in suite.tasks:
        for metric in task.metrics:
            rouge_l("", "", tokens=metric.tokens)  # fails where its package is not installed
    with contextlib.nullcontext() if folder is None else locked(folder):
        if folder is not None:
            _claim(folder, suite)
        answered, skipped = replies.answers(suite, respondent, folder=folder, seed=seed)
        scored = {
            task.id: score(
                task,
                [one for one in answered if one.question.task.id == task.id],
                judge=judge,
                limits=limits or Limits(),
            )
            for task in suite.tasks
        }
        result = summarise(
            suite,
            scored,
            skipped,
            model=respondent.provenance(),
            judge=None if judge is None else judge.provenance(),
            seed=seed,
        )
        if folder is not None:
            write_text(folder / SCORES, "".join(_line(one) for task in suite.tasks for one in scored[task.id]))
            write_json(folder / RESULT, dataclasses.asdict(result) | {"environment": environment()})
    return result


def read_result(folder: Path) -> SuiteResult:
    """Return the result of a finished evaluation.

    Raises:
        ValueError: a folder without one, or with a damaged one.
    """
    path = folder / RESULT
    if not path.is_file():
        raise ValueError(
            f"a finished evaluation must hold {RESULT}, got {folder}. Run `python -m jaxkd.evaluate` first."
        )
    found = read_json(path)
    try:
        return SuiteResult(
            **{
                **{name: found[name] for name in ("suite", "version", "fingerprint", "model", "judge", "seed")},
                "tasks": tuple(map(_task, found["tasks"])),
                "aggregates": {
                    name: Aggregated(value=one["value"], missing=tuple(one["missing"]))
                    for name, one in found["aggregates"].items()
                },
            }
        )
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{path} must be the result of an evaluation, got something else ({error!r}). Remove it, and run the same "
            "command again: the answers are kept."
        ) from error


def _task(found: Mapping[str, Any]) -> TaskResult:
    metrics = tuple(
        MetricResult(
            metric=one["metric"],
            title=one["title"],
            interval=Interval(**one["interval"]),
            rows=tuple(one["rows"]),
            values=tuple(one["values"]),
        )
        for one in found["metrics"]
    )
    bias = found["bias"] and PositionBias(**{**found["bias"], "interval": Interval(**found["bias"]["interval"])})
    return TaskResult(**{**found, "metrics": metrics, "missing": tuple(found["missing"]), "bias": bias})


def _claim(folder: Path, suite: Suite) -> None:
    """Give a folder to a suite; name the rows that changed since answers were stored in it."""
    path = folder / _ASKED
    rows = {f"{task.id}/{row.id}": row.fingerprint() for task in suite.tasks for row in task.rows}
    if path.is_file():
        before = read_json(path)
        if before["name"] != suite.name:
            raise ValueError(
                f"{folder} holds answers to the suite {before['name']}, and cannot take those to {suite.name}. Name "
                "another --output."
            )
        if before["fingerprint"] != suite.fingerprint:
            _log.warning(
                "%s changed since the answers in %s were given: %s",
                suite.folder,
                folder,
                _changes(before["rows"], rows),
            )
    write_json(path, {"name": suite.name, "version": suite.version, "fingerprint": suite.fingerprint, "rows": rows})


def _changes(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Name the rows that changed, a few of each kind."""
    kinds = {
        "changed": [key for key in now if key in before and before[key] != now[key]],
        "new": [key for key in now if key not in before],
        "gone": [key for key in before if key not in now],
    }
    found = [f"{kind}: {_few(keys)}" for kind, keys in kinds.items() if keys]
    return "; ".join(found) or "settings or files, but no row"


def _few(keys: Sequence[str]) -> str:
    return ", ".join(keys[:5]) + (f" and {len(keys) - 5} more" if len(keys) > 5 else "")


def _line(one: Scored) -> str:
    """Row of `scores.jsonl`."""
    answered, question = one.answered, one.answered.question
    row = {
        "task": question.task.id,
        "id": question.row.id,
        "rotation": question.rotation,
        "draw": answered.draw,
        "prompt": question.prompt,
        "options": question.options,
        "answer": question.answer,
        "references": question.row.references,
        "reply": answered.text,
        "log_likelihoods": answered.log_likelihoods,
        "chosen": one.chosen,
        "parsed": one.parsed,
        "values": one.values,
        "remark": one.remark,
    }
    return json.dumps(row, ensure_ascii=False) + "\n"
