"""Pairs as transcripts of a revision: the rejected answer, a request, and the chosen answer."""

import dataclasses

from jaxkd.data.examples import Example, Source
from jaxkd.data.preferences.examples import PreferenceSource
from jaxkd.typing import Split


@dataclasses.dataclass(frozen=True, kw_only=True)
class Transcripts(Source):
    """Pairs of a source as conversations in which the rejected answer is revised into the chosen one.

    Each has one follow-up: `FinalAnswer(source=..., follow_ups=1)` learns the revisions.

    Raises:
        ValueError: an empty request.

    Example:
        >>> from jaxkd.data import FlawedCode, StandardLibrary
        >>> functions = StandardLibrary(max_characters=400)
        >>> found = Transcripts(source=FlawedCode(source=functions)).examples("test")[0]
        >>> [role for role, _ in found.messages]
        ['system', 'user', 'assistant', 'user']
    """

    source: PreferenceSource
    """Source of the pairs."""
    request: str = "Write your answer again, better."
    """The user's request for the revision."""

    def __post_init__(self) -> None:
        if not self.request.strip():
            raise ValueError("request must be a text that is not empty, got an empty text.")

    def examples(self, split: Split) -> list[Example]:
        """Return a conversation for each pair of a split, in the source's order."""
        return [
            Example(
                key=pair.key,
                group=pair.group,
                messages=(*pair.messages, ("assistant", pair.rejected), ("user", self.request)),
                response=pair.chosen,
            )
            for pair in self.source.pairs(split)
        ]
