"""Who says which of two answers is the better one: a model, a file, or a function of your own."""

import abc
import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from jaxkd.data.examples import Example
from jaxkd.data.text import chat, json_rows
from jaxkd.data.text.chat import Template
from jaxkd.models.checkpoints.language_model import language_model
from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.sampling import GREEDY, generate

Verdict: TypeAlias = Literal["first", "second", "tie"]

_QUESTION = (
    "{prompt}\n\nTwo answers were given.\n\nAnswer A:\n{first}\n\nAnswer B:\n{second}\n\n"
    "Which answer is better? Reply with A or B alone."
)
_LETTER = re.compile(r"\b[AB]\b")
_LETTERS: dict[str, Verdict] = {"A": "first", "B": "second"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """Two answers to one prompt, in the order in which a judge sees them."""

    prompt: str
    first: str
    second: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judge(abc.ABC):
    """Says which answer of each question is better: derive from it to ask a function of your own, or a service."""

    @abc.abstractmethod
    def __call__(self, questions: Sequence[Question]) -> list[Verdict]:
        """A verdict a question, in their order."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordedJudge(Judge):
    """Verdicts from a file, `{"prompt": "...", "first": "...", "second": "...", "verdict": "first"}` a line.

    Questions without a verdict are added to the file with null in its place: fill them in, and run again.
    """

    path: str

    def __call__(self, questions: Sequence[Question]) -> list[Verdict]:
        """Look the verdicts up.

        Raises:
            ValueError: malformed lines, or questions without a verdict.
        """
        path = Path(self.path).expanduser()
        known = dict(json_rows.read(path, _recorded)) if path.is_file() else {}
        open_ones = [question for question in dict.fromkeys(questions) if known.get(question) is None]
        if open_ones:
            added = [question for question in open_ones if question not in known]
            with path.open("a", encoding="utf-8") as file:
                for question in added:
                    file.write(json.dumps(dataclasses.asdict(question) | {"verdict": None}, ensure_ascii=False) + "\n")
            raise ValueError(
                f"{path} must have a verdict for each of the {len(questions)} questions, got none for "
                f"{len(open_ones)}, of which {len(added)} were added now. Fill in "
                f"{', '.join(map(repr, get_args(Verdict)))} for null, and run the same command again."
            )
        return [verdict for question in questions if (verdict := known[question]) is not None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelJudge(Judge):
    """A language model that is asked for the letter of the better answer; what names neither is a tie.

    It is no better a judge than the model is: look at the position bias and at how often both orders agree.
    """

    model: Pretrained
    template: Template = "chat"
    max_new_tokens: int = 8

    def __call__(self, questions: Sequence[Question]) -> list[Verdict]:
        """Ask.

        Raises:
            ValueError: a question that is longer than the model has positions for.
        """
        judge = language_model(self.model)
        asked = [
            Example(key=str(place), group="", messages=(("user", _asked(question)),), response="")
            for place, question in enumerate(questions)
        ]
        replies = generate(
            judge,
            [chat.prompt_tokens(example, judge.tokenizer, self.template) for example in asked],
            max_new_tokens=self.max_new_tokens,
            sampling=GREEDY,
        )
        return [_verdict(reply.text) for reply in replies]


def _asked(question: Question) -> str:
    return _QUESTION.format(**dataclasses.asdict(question))


def _verdict(reply: str) -> Verdict:
    """The first letter that stands alone."""
    found = _LETTER.search(reply)
    return "tie" if found is None else _LETTERS[found.group()]


def _recorded(row: dict[str, Any], key: str) -> tuple[Question, Verdict | None]:
    del key
    texts = {name: json_rows.text(row.get(name), f'"{name}"') for name in ("prompt", "first", "second")}
    verdict = row.get("verdict")
    if verdict is not None and verdict not in get_args(Verdict):
        choices = ", ".join(map(repr, get_args(Verdict)))
        raise ValueError(f'"verdict" must be one of {choices} or null, got {verdict!r}.')
    return Question(**texts), verdict
