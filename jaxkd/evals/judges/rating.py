"""Judges that rate each reply by itself, aspect by aspect."""

import abc
import dataclasses
from collections.abc import Mapping, Sequence


@dataclasses.dataclass(frozen=True, kw_only=True)
class RatingQuestion:
    """A reply to rate."""

    prompt: str
    reply: str
    references: tuple[str, ...] = ()
    """Good replies to the same prompt, if there are any."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rating:
    """Rating of one reply."""

    score: float
    """The aspects as one number; 100 is the best."""
    aspects: Mapping[str, int]
    """Value of each aspect, by name."""
    text: str
    """Answer of the judge, verbatim."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unparsed:
    """Reply without a rating: what the judge said does not have one value in range for each aspect."""

    fault: str
    """Phrase that says what is wrong with the judge's text."""
    text: str
    """Answer of the judge, verbatim."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RatingJudge(abc.ABC):
    """Judge that rates replies: subclass it to call a function of your own."""

    @abc.abstractmethod
    def __call__(self, questions: Sequence[RatingQuestion]) -> list[Rating | Unparsed]:
        """Return one rating per question, in order, or `Unparsed` where the judge gave none."""

    @abc.abstractmethod
    def provenance(self) -> str:
        """Return one line for a result: the judge, the hash of its prompt, and its model."""
