"""Judges that decide which of two answers is better."""

import abc
import dataclasses
from collections.abc import Sequence
from typing import Literal, TypeAlias

Verdict: TypeAlias = Literal["first", "second", "tie"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """Two answers to one prompt, in the order in which a judge sees them."""

    prompt: str
    first: str
    second: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judge(abc.ABC):
    """Judge that decides which answer to each question is better: subclass it to call a function of your own."""

    @abc.abstractmethod
    def __call__(self, questions: Sequence[Question]) -> list[Verdict]:
        """Return one verdict per question, in order."""
