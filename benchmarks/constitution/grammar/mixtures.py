"""Mixtures of sources: revisions beside helpful data."""

import dataclasses

from jaxkd.data.examples import Example, Source
from jaxkd.data.preferences.examples import Preference, PreferenceSource
from jaxkd.typing import Split


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
