"""Judges that decide which of two answers is better: a model, a file, or a function of your own."""

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
    """Judge that decides which answer to each question is better: subclass it to call a function or a service."""

    @abc.abstractmethod
    def __call__(self, questions: Sequence[Question]) -> list[Verdict]:
        """Return one verdict per question, in order."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordedJudge(Judge):
    """Verdicts from a file, `{"prompt": "...", "first": "...", "second": "...", "verdict": "first"}` per line.

    Questions without a verdict are appended to the file with null in its place: fill them in, and run again.
    """

    path: str

    def __call__(self, questions: Sequence[Question]) -> list[Verdict]:
        """Look the verdicts up.

        Raises:
            ValueError: malformed lines, or questions without a verdict.
        """
        path = Path(self.path).expanduser()
        known = dict(json_rows.read(path, _recorded)) if path.is_file() else {}
        unanswered = [question for question in dict.fromkeys(questions) if known.get(question) is None]
        if unanswered:
            added = [question for question in unanswered if question not in known]
            with path.open("a", encoding="utf-8") as file:
                for question in added:
                    file.write(json.dumps(dataclasses.asdict(question) | {"verdict": None}, ensure_ascii=False) + "\n")
            raise ValueError(
                f"{path} must have a verdict for each of the {len(questions)} questions, got none for "
                f"{len(unanswered)}, of which {len(added)} were added now. Fill in "
                f"{', '.join(map(repr, get_args(Verdict)))} for null, and run the same command again."
            )
        return [verdict for question in questions if (verdict := known[question]) is not None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelJudge(Judge):
    """Language model that is prompted for the letter of the better answer; a reply that names neither is a tie.

    It judges no better than the model can: look at the position bias and at how often both orders agree.
    """

    model: Pretrained
    template: Template = "chat"
    max_new_tokens: int = 8

    def __call__(self, questions: Sequence[Question]) -> list[Verdict]:
        """Prompt the model.

        Raises:
            ValueError: a question that exceeds the model's positions.
        """
        judge = language_model(self.model)
        examples = [
            Example(key=str(index), group="", messages=(("user", _asked(question)),), response="")
            for index, question in enumerate(questions)
        ]
        replies = generate(
            judge,
            [chat.prompt_tokens(example, judge.tokenizer, self.template) for example in examples],
            max_new_tokens=self.max_new_tokens,
            sampling=GREEDY,
        )
        return [_verdict(reply.text) for reply in replies]


def _asked(question: Question) -> str:
    return _QUESTION.format(**dataclasses.asdict(question))


def _verdict(reply: str) -> Verdict:
    """Verdict of the first letter that stands alone."""
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
