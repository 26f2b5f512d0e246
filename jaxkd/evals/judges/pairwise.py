"""Judges that decide which of two answers is better."""

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal, TypeAlias

Verdict: TypeAlias = Literal["first", "second", "tie"]

SCORES: Mapping[Verdict, float] = MappingProxyType({"first": 1.0, "tie": 0.5, "second": 0.0})
"""Score of the first answer by the verdict on both."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """Two answers to one prompt, in the order in which a judge sees them."""

    prompt: str
    first: str
    second: str
    principle: str = ""
    """Question by which the answers are compared, such as "Which answer is truer?"; empty: which one is better."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judge(abc.ABC):
    """Judge that decides which answer to each question is better: subclass it to call a function of your own."""

    @abc.abstractmethod
    def __call__(self, questions: Sequence[Question]) -> list[Verdict]:
        """Return one verdict per question, in order."""

    def probabilities(self, questions: Sequence[Question]) -> list[float | None]:
        """Return for each question the probability that its first answer is better, None without a verdict.

        Default: 1, 0.5 or 0 by the verdicts.

        Raises:
            ValueError: an unknown verdict, or as the judge.
        """
        verdicts = self(questions)
        unknown = [verdict for verdict in verdicts if verdict not in SCORES]
        if unknown:
            raise ValueError(
                f"{type(self).__name__} must return verdicts among {', '.join(map(repr, SCORES))}, got {unknown[0]!r}."
            )
        return [SCORES[verdict] for verdict in verdicts]

    def provenance(self) -> str:
        """Return one line for a result, which names the judge.  Default: its class and fields."""
        return repr(self)
