"""Replies to the questions of a suite, stored as they come, so that an interrupted evaluation goes on."""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxkd.evals.suites.questions import Presented, presented
from jaxkd.evals.suites.respondent import Compared, Prompt, Respondent
from jaxkd.evals.suites.suite import Suite, Task
from jaxkd.runtime.progress import progress
from jaxkd.runtime.storage.files import append
from jaxkd.runtime.storage.json_lines import whole_rows

FILE = "samples.jsonl"
_BATCH = 64
"""Questions between two writes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answered:
    """A question and what the model answered."""

    question: Presented
    draw: int = 0
    """Number of the reply among those to the question."""
    text: str = ""
    """Reply; empty where log-likelihoods were compared."""
    ended: bool = True
    log_likelihoods: tuple[float, ...] = ()
    """Log-likelihood of each option in nats, in the order of the presentation."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Skipped:
    """A question that was not asked."""

    question: Presented
    reason: str


def answers(
    suite: Suite, respondent: Respondent, *, folder: Path | None, seed: int = 0
) -> tuple[list[Answered], list[Skipped]]:
    """Ask all questions of a suite, or those that the folder has no answer to.

    Args:
        suite: the questions.
        respondent: the model.
        folder: folder of the samples, in whose `samples.jsonl` each answer is stored; None stores nothing.
        seed: random seed of the samples; each reply to a question has its own.
    """
    asked, skipped = [], []
    for task in suite.tasks:
        kept, left = _fitting(task, respondent)
        asked += [(one, draw) for one in kept for draw in range(_draws(task))]
        skipped += left
    path = None if folder is None else folder / FILE
    known = {} if path is None else _known(path)
    provenance = respondent.provenance()
    identity = {(one.key, draw): _identity(one, draw, provenance, seed) for one, draw in asked}
    found: dict[tuple[str, int], Answered] = {}
    for one, draw in asked:
        row = known.get(identity[one.key, draw])
        if row is not None:
            found[one.key, draw] = _answered(one, draw, row)
    missing = [(one, draw) for one, draw in asked if (one.key, draw) not in found]
    if missing:
        with progress(len(asked), suite.name, start=len(found)) as bar:
            for batch in _batches(missing):
                for new in _ask(batch, respondent, seed):
                    found[new.question.key, new.draw] = new
                rows = [_row(found[one.key, draw], identity[one.key, draw]) for one, draw in batch]
                if path is not None:
                    append(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
                bar.update(len(found))
    return [found[one.key, draw] for one, draw in asked], skipped


def reasons(skipped: Sequence[Skipped]) -> dict[str, int]:
    """Count the reasons for which questions were skipped."""
    return dict(Counter(one.reason for one in skipped))


def _prompt(one: Presented) -> Prompt:
    return Prompt(text=one.prompt, images=one.row.images)


def _draws(task: Task) -> int:
    return 1 if task.mode == "loglik" else task.sampled.replies


def _fitting(task: Task, respondent: Respondent) -> tuple[list[Presented], list[Skipped]]:
    """Split a task's questions into those that can be asked, and the others with the reason."""
    questions = list(presented(task))
    if not respondent.accepts_images:
        skipped = [Skipped(question=one, reason="the model takes no images") for one in questions if one.row.images]
        questions = [one for one in questions if not one.row.images]
    else:
        skipped = []
    new = 0 if task.mode == "loglik" else task.sampled.max_new_tokens
    limit = max(min(task.sampled.max_input_tokens, respondent.max_prompt_tokens(new)), 0)
    kept = []
    for one, tokens in zip(questions, respondent.prompt_tokens(list(map(_prompt, questions))), strict=True):
        if tokens <= limit:
            kept.append(one)
        else:
            skipped.append(Skipped(question=one, reason=f"prompt longer than {limit} tokens"))
    return kept, skipped


def _batches(missing: Sequence[tuple[Presented, int]]) -> Iterator[list[tuple[Presented, int]]]:
    """Group questions of one task and one draw, so that all of a batch have the same settings."""
    batch: list[tuple[Presented, int]] = []
    for one, draw in sorted(missing, key=lambda item: (item[0].task.id, item[1])):
        if batch and (len(batch) == _BATCH or (batch[0][0].task.id, batch[0][1]) != (one.task.id, draw)):
            yield batch
            batch = []
        batch.append((one, draw))
    yield batch


def _ask(batch: Sequence[tuple[Presented, int]], respondent: Respondent, seed: int) -> list[Answered]:
    questions, draw = [one for one, _ in batch], batch[0][1]
    task = questions[0].task
    if task.mode == "loglik":
        compared = [
            Compared(prompt=_prompt(one), separator=task.separator, continuations=one.continuations)
            for one in questions
        ]
        scores = respondent.log_likelihoods(compared)
        return [Answered(question=one, log_likelihoods=score) for one, score in zip(questions, scores, strict=True)]
    numbers = {one.key: number for number, one in enumerate(presented(task))}
    replies = respondent.replies(
        list(map(_prompt, questions)),
        task.sampled,
        seed=seed + draw,
        ids=[numbers[one.key] for one in questions],
    )
    return [
        Answered(question=one, draw=draw, text=reply.text, ended=reply.ended)
        for one, reply in zip(questions, replies, strict=True)
    ]


def _identity(one: Presented, draw: int, provenance: str, seed: int) -> str:
    """Name under which an answer is stored: it changes with all that the answer depends on."""
    sampled = one.task.mode == "generate" and one.task.sampled.temperature > 0
    return f"{one.key}#{seed + draw if sampled else draw}:{one.fingerprint(provenance)}"


def _row(answered: Answered, identity: str) -> dict[str, Any]:
    one = answered.question
    facts = {"identity": identity, "task": one.task.id, "id": one.row.id, "prompt": one.prompt}
    if one.task.mode == "loglik":
        return facts | {"log_likelihoods": answered.log_likelihoods}
    return facts | {"reply": answered.text, "ended": answered.ended}


def _known(path: Path) -> dict[str, Mapping[str, Any]]:
    return {row["identity"]: row for row in whole_rows(path)}


def _answered(one: Presented, draw: int, row: Mapping[str, Any]) -> Answered:
    if one.task.mode == "loglik":
        return Answered(question=one, draw=draw, log_likelihoods=tuple(map(float, row["log_likelihoods"])))
    return Answered(question=one, draw=draw, text=row["reply"], ended=row["ended"])
