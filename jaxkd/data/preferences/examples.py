"""Two answers to one prompt of which one is preferred, and the sources that hold such pairs."""

import abc
import dataclasses
import math

from jaxkd.data.examples import Example, Source
from jaxkd.typing import Split


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preference:
    """A conversation up to a turn, and two ways to go on."""

    key: str
    """Names the pair for good: it does not move when others are added."""
    group: str
    """Pairs of one group stay on one side of a split."""
    messages: tuple[tuple[str, str], ...]
    """The prompt: (role, text) pairs."""
    chosen: str
    rejected: str
    rendered: str | None = None
    """The prompt as the source itself writes it out, which the plain template takes as it stands."""
    probability: float = 1.0
    """That `chosen` is the better answer, in [0, 1]: 1 for a hard label."""
    weight: float = 1.0
    """How much the pair counts, > 0."""

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability must be in [0, 1], got {self.probability} in {self.key!r}.")
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise ValueError(f"weight must be > 0 and finite, got {self.weight} in {self.key!r}. Leave the pair out.")

    def answered(self, answer: str) -> Example:
        """The prompt with one answer."""
        return Example(key=self.key, group=self.group, messages=self.messages, response=answer, rendered=self.rendered)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreferenceSource(abc.ABC):
    """Where pairs come from: a frozen description, read when asked."""

    @abc.abstractmethod
    def pairs(self, split: Split) -> list[Preference]:
        """The pairs of one split, in an order that never changes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chosen(Source):
    """The prompts of pairs with their better answers, as text to learn or to be measured on."""

    source: PreferenceSource

    def examples(self, split: Split) -> list[Example]:
        return [pair.answered(pair.chosen) for pair in self.source.pairs(split)]
