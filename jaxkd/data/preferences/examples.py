"""Preference pairs, two answers to one prompt of which one is preferred, and their sources."""

import abc
import dataclasses
import math

from jaxkd.data.examples import Example, Source
from jaxkd.typing import Split


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preference:
    """A conversation, and two candidate responses."""

    key: str
    """Permanent name, which does not change when pairs are added."""
    group: str
    """Group, all of whose pairs are in one split."""
    messages: tuple[tuple[str, str], ...]
    """Prompt, as (role, text) pairs."""
    chosen: str
    """Better response."""
    rejected: str
    """Worse response."""
    rendered: str | None = None
    """Prompt as the source itself renders it, which the plain template uses verbatim."""
    probability: float = 1.0
    """Probability that `chosen` is better, in [0, 1]: 1 for a hard label."""
    weight: float = 1.0
    """Weight of the pair, > 0."""

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability must be in [0, 1], got {self.probability} in {self.key!r}.")
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise ValueError(f"weight must be > 0 and finite, got {self.weight} in {self.key!r}. Leave the pair out.")

    def answered(self, answer: str) -> Example:
        """Return the prompt with an answer."""
        return Example(key=self.key, group=self.group, messages=self.messages, response=answer, rendered=self.rendered)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreferenceSource(abc.ABC):
    """Source of pairs: a frozen description, read on demand."""

    @abc.abstractmethod
    def pairs(self, split: Split) -> list[Preference]:
        """Return the pairs of one split, in a fixed order."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chosen(Source):
    """Prompts of pairs with their better answers, as text for training or evaluation."""

    source: PreferenceSource
    """Source of the pairs."""

    def examples(self, split: Split) -> list[Example]:
        return [pair.answered(pair.chosen) for pair in self.source.pairs(split)]
