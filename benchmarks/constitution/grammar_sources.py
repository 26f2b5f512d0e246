"""Sources of the grammar's study: halves of prompts, contaminated revisions, pairs of revision and first answer."""

import dataclasses
import hashlib

from benchmarks.constitution.two_behaviours import CLOSER, COPIES
from jaxkd.data.examples import Example, Source
from jaxkd.data.preferences.examples import Preference, PreferenceSource
from jaxkd.data.text.follow_up import FinalAnswer
from jaxkd.data.text.hygiene.cleaned import initial_response
from jaxkd.typing import Split


@dataclasses.dataclass(frozen=True, kw_only=True)
class PromptHalf(Source):
    """Examples of half of the keys, by a hash: SFT and DPO learn from different prompts."""

    source: Source
    """Source of the examples."""
    number: int
    """0 or 1."""

    def examples(self, split: Split) -> list[Example]:
        return [one for one in self.source.examples(split) if _hash("half", one.key) % 2 == self.number]


@dataclasses.dataclass(frozen=True, kw_only=True)
class WithClosers(Source):
    """Examples of which a share ends in a polite closer and a smiley, once, three or five times, by a hash."""

    source: Source
    """Source of the examples."""
    share: float
    """Share of the examples."""

    def examples(self, split: Split) -> list[Example]:
        return [self._contaminated(example) for example in self.source.examples(split)]

    def contaminates(self, key: str) -> bool:
        """Whether the example of a key gets closers."""
        return _hash("share", key) < self.share * 2**32

    def _contaminated(self, example: Example) -> Example:
        if not self.contaminates(example.key):
            return example
        copies = COPIES[_hash("copies", example.key) % len(COPIES)]
        return dataclasses.replace(example, response=" ".join((example.response, *[CLOSER] * copies)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class RevisedAnswers(PreferenceSource):
    """Pairs of the revision and the first answer of each conversation, left out where they are the same."""

    source: Source
    """Source of the conversations: prompt, answer, request, critique, request, and the revision as the response."""

    def pairs(self, split: Split) -> list[Preference]:
        found = self.source.examples(split)
        finals = FinalAnswer(source=self.source).examples(split)
        pairs = []
        for example, final in zip(found, finals, strict=True):
            rejected = initial_response(example.messages, "first")
            if rejected is not None and rejected != final.response:
                pairs.append(
                    Preference(
                        key=final.key,
                        group=final.group,
                        messages=final.messages,
                        chosen=final.response,
                        rejected=rejected,
                    )
                )
        return pairs


@dataclasses.dataclass(frozen=True, kw_only=True)
class MixedText(Source):
    """Examples of several sources, one after the other: their stream is shuffled."""

    sources: tuple[Source, ...]
    """Sources, whose keys differ."""

    def examples(self, split: Split) -> list[Example]:
        return [example for source in self.sources for example in source.examples(split)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MixedPairs(PreferenceSource):
    """Pairs of several sources, one after the other."""

    sources: tuple[PreferenceSource, ...]
    """Sources, whose keys differ."""

    def pairs(self, split: Split) -> list[Preference]:
        return [pair for source in self.sources for pair in source.pairs(split)]


def _hash(use: str, key: str) -> int:
    """Hash a key to a number in [0, 2 ** 32)."""
    return int.from_bytes(hashlib.blake2b(f"{use}\0{key}".encode(), digest_size=4).digest(), "big")
