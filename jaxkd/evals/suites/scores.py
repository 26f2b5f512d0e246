"""Scores of answers: what a reply says, and how good it is, in percent."""

import dataclasses
import re
from collections.abc import Sequence

from jaxkd.evals.judges.rating import Rating, RatingJudge, RatingQuestion
from jaxkd.evals.suites.replies import Answered
from jaxkd.evals.suites.suite import Metric, Task
from jaxkd.metrics.numbers import equal_numbers, final_number
from jaxkd.metrics.options import option
from jaxkd.metrics.pass_at_k import pass_at_k
from jaxkd.metrics.rouge import resolve_tokens, rouge_l_values
from jaxkd.metrics.verdicts import truth
from jaxkd.runtime.progress import progress
from jaxkd.runtime.sandbox import Limits, Outcome, run_all

_BLOCK = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:\n```|\Z)", re.DOTALL | re.IGNORECASE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scored:
    """An answer and its scores."""

    answered: Answered
    chosen: int | None = None
    """Place of the chosen option in its presentation; None if the reply names none, or there are none."""
    parsed: bool = True
    """Whether the reply says something that the metric can read; if not, it is wrong."""
    values: dict[str, float | None]
    """Score by the title of the metric, in percent; None without a judge's rating."""
    remark: str = ""
    """Verdict of the sandbox, or text of the judge."""


def score(task: Task, answers: Sequence[Answered], *, judge: RatingJudge | None, limits: Limits) -> list[Scored]:
    """Score the answers to the questions of one task.

    Args:
        task: the task.
        answers: answers to its questions.
        judge: judge of `judge4`, which is None for every answer without one.
        limits: limits of the programs that a `code` task runs.
    """
    if task.type in ("choice", "truefalse"):
        return [_chosen(task, one) for one in answers]
    if task.type == "code":
        return _programs(task, answers, limits)
    found = _texts(task, answers)
    if any(metric.name == "judge4" for metric in task.metrics):
        return _rated(found, judge)
    return found


def _chosen(task: Task, one: Answered) -> Scored:
    question = one.question
    values: dict[str, float | None] = {}
    chosen = None
    for metric in task.metrics:
        place = _compared(metric, one) if task.mode == "loglik" else _named(task, one)
        chosen = place if metric.name == "accuracy" or chosen is None else chosen
        values[metric.title] = 100.0 * (place == question.answer)
    return Scored(answered=one, chosen=chosen, parsed=chosen is not None, values=values)


def _compared(metric: Metric, one: Answered) -> int:
    """Place of the likeliest option, the first of equal ones."""
    scores = one.log_likelihoods
    if metric.name == "accuracy_per_character":
        texts = one.question.continuations
        scores = tuple(value / len(text) for value, text in zip(scores, texts, strict=True))
    return scores.index(max(scores))


def _named(task: Task, one: Answered) -> int | None:
    """Place of the option that a reply names."""
    if task.type == "choice":
        return option(one.text, len(one.question.options))
    said = truth(one.text)
    if said is not None:
        return 0 if said else 1
    named = [place for place, word in enumerate(task.words) if _names(one.text, word)]
    return named[0] if len(named) == 1 else None


def _names(text: str, word: str) -> bool:
    """Whether a word stands in a text, by itself where its script separates words."""
    edges = (r"(?<![^\W_])", r"(?![^\W_])") if word.isascii() else ("", "")
    return re.search(re.escape(word.casefold()).join(edges), text.casefold()) is not None


def _texts(task: Task, answers: Sequence[Answered]) -> list[Scored]:
    """Score replies by their references; `judge4` is left to the judge."""
    found = [Scored(answered=one, values={}) for one in answers]
    for metric in task.metrics:
        if metric.name == "rouge_l":
            texts, references = [one.text for one in answers], [one.question.row.references for one in answers]
            tokens = resolve_tokens(task.references, tokens=metric.tokens)
            values = (100.0 * rouge_l_values(texts, references, tokens=tokens)).tolist()
        elif metric.name == "judge4":
            values = [None] * len(answers)
        elif task.type == "math":
            numbers = [final_number(one.text, metric.number) for one in answers]
            found = [
                dataclasses.replace(one, parsed=number is not None) for one, number in zip(found, numbers, strict=True)
            ]
            values = [
                100.0 * any(equal_numbers(number, final_number(text)) for text in one.question.row.references)
                for one, number in zip(answers, numbers, strict=True)
            ]
        else:
            values = [
                100.0 * (one.text.strip() in {text.strip() for text in one.question.row.references}) for one in answers
            ]
        for one, value in zip(found, values, strict=True):
            one.values[metric.title] = value
    return found


def _rated(found: Sequence[Scored], judge: RatingJudge | None) -> list[Scored]:
    if judge is None:
        return list(found)
    ratings = judge(
        [
            RatingQuestion(
                prompt=one.answered.question.prompt,
                reply=one.answered.text,
                references=one.answered.question.row.references,
            )
            for one in found
        ]
    )
    return [
        dataclasses.replace(
            one,
            values={**one.values, "judge4": rating.score if isinstance(rating, Rating) else None},
            remark=rating.text,
        )
        for one, rating in zip(found, ratings, strict=True)
    ]


def _programs(task: Task, answers: Sequence[Answered], limits: Limits) -> list[Scored]:
    """Run the programs; `pass@k` of a row is estimated from all of its replies, and stands with each of them."""
    programs = [f"{one.question.row.prefix}{code(one.text)}\n{one.question.row.test}\n" for one in answers]
    outcomes: list[Outcome] = []
    with progress(max(len(programs), 1), f"programs of {task.id}") as bar:
        for outcome in run_all(programs, limits=limits):
            outcomes.append(outcome)
            bar.update(len(outcomes))
    passed: dict[str, list[bool]] = {}
    for one, outcome in zip(answers, outcomes, strict=True):
        passed.setdefault(one.question.key, []).append(outcome.passed)
    values = {
        key: {metric.title: 100.0 * pass_at_k(len(row), sum(row), metric.k) for metric in task.metrics}
        for key, row in passed.items()
    }
    return [
        Scored(
            answered=one, values=dict(values[one.question.key]), remark=f"{outcome.verdict} {outcome.reason}".strip()
        )
        for one, outcome in zip(answers, outcomes, strict=True)
    ]


def code(reply: str) -> str:
    r"""Program in a reply: its first fenced block of Python, or all of it.

    Example:
        >>> code("Here it is:\n```python\nx = 1\n```\nDone.")
        'x = 1'
    """
    block = _BLOCK.search(reply)
    return reply if block is None else block.group(1)
