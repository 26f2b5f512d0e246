"""Reasons to drop a revision before a model learns it: leftovers of the instructions, repetition, emoji, length."""

import dataclasses
import itertools
import re
from typing import Literal, TypeAlias, get_args

from jaxkd.metrics.emoji import emoji, longest_emoji_run
from jaxkd.metrics.text_repetition import is_loop, repeated, words

Reason: TypeAlias = Literal[
    "meta_prefix", "marker", "repetition", "emoji", "no_change", "length", "unfinished", "shared_closer"
]
"""Reason to drop a row; for "shared_closer" it is repaired instead."""

REASONS: tuple[Reason, ...] = get_args(Reason)
"""All of them, in the order of reports."""

META_PREFIXES = (
    *("sure, here is", "sure, here's", "sure, here are", "certainly, here is", "certainly, here's"),
    *("of course, here is", "of course, here's", "here is a revised", "here is the revised", "here is my revised"),
    *("here's a revised", "here's the revised", "here's my revised", "here is a rewritten", "here is the rewritten"),
    *("revised response", "revised answer", "the revised response", "the revised answer", "my revised response"),
    *("based on the messages above", "based on the conversation above", "based on the critique"),
    *("in response to the critique", "I have revised", "I've revised", "I have rewritten", "I've rewritten"),
)
"""Phrases in which a model talks about its revision instead of giving it."""

MARKERS = ("CritiqueRequest", "RevisionRequest", "Critique:", "Revision:", "\n\nHuman:", "\n\nAssistant:")
"""Marks of a transcript that a model has written on, or copied."""

_LETTERS = re.compile(r"\w+")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hygiene:
    """Thresholds of the reasons to drop or to repair a row.

    Words are those of `jaxkd.metrics.text_repetition.words`: symbols count.  The thresholds suit prose; code repeats
    itself more, and a `most_repeated` of 0.4 suits bodies of functions.

    Source: inferred from Bai et al., arXiv 2212.08073, and the collapse that Zhang reports, arXiv 2504.04918.
    """

    reasons: tuple[Reason, ...] = REASONS
    """Reasons that apply.  Default: all."""
    meta_prefixes: tuple[str, ...] = META_PREFIXES
    """Phrases with which no revision may begin; case and punctuation do not count."""
    markers: tuple[str, ...] = MARKERS
    """Strings that no revision may hold, as they are."""
    most_repeated: float = 0.2
    """Largest share of four-word sequences that occurred before.  Text that ends in a loop is dropped at any value."""
    longest_emoji_run: int = 1
    """Largest number of emoji and emoticons in a row."""
    emoji_density: float = 0.02
    """Largest number of emoji and emoticons per word."""
    fewest_words: int = 5
    """Fewest words of a revision."""
    longest_ratio: float = 4.0
    """Largest length of a revision in words, relative to the initial response."""
    closer_share: float = 0.02
    """Share of all texts above which a sentence that ends them is taken away.  Where answers end alike by design, as in
    "The answer is B.", leave "shared_closer" out of `reasons`."""
    fewest_closers: int = 3
    """Fewest texts that must share such a sentence: a share says little about a few texts."""

    def __post_init__(self) -> None:
        unknown = [reason for reason in self.reasons if reason not in REASONS]
        if unknown:
            raise ValueError(f"reasons must be among {', '.join(REASONS)}, got {', '.join(map(repr, unknown))}.")
        for name, low, high in (
            ("most_repeated", 0, 1),
            ("longest_emoji_run", 0, None),
            ("emoji_density", 0, 1),
            ("fewest_words", 1, None),
            ("longest_ratio", 0, None),
            ("closer_share", 0, 1),
            ("fewest_closers", 2, None),
        ):
            value = getattr(self, name)
            if not low <= value <= (value if high is None else high):
                bounds = f"at least {low}" if high is None else f"between {low} and {high}"
                raise ValueError(f"Hygiene.{name} must be {bounds}, got {value}.")
        if not all(map(_LETTERS.search, self.meta_prefixes)):
            raise ValueError(f"Hygiene.meta_prefixes must hold phrases with letters, got {self.meta_prefixes!r}.")
        if not all(marker.strip() for marker in self.markers):
            raise ValueError(
                f"Hygiene.markers must hold strings that are not empty, got {self.markers!r}. Remove the empty ones."
            )


def drop_reasons(
    revision: str, hygiene: Hygiene, *, initial: str | None = None, ended: bool | None = None
) -> tuple[Reason, ...]:
    """Find the reasons for which one revision is dropped.

    Args:
        revision: the text, without its shared closers.
        hygiene: the thresholds.
        initial: the response that it revises.  None: it is none of the kind, and neither "no_change" nor a length
            relative to it applies.
        ended: whether the model ended it by itself; None if unknown.

    Returns:
        The reasons in the order of `REASONS`, never "shared_closer"; empty for a clean revision.

    Source: inferred.  Deviation: none.

    Example:
        >>> drop_reasons("Sure! Here is a revised response: no no no", Hygiene())
        ('meta_prefix', 'repetition')
        >>> drop_reasons("I cannot help with that.", Hygiene(), initial="i cannot help  with that.")
        ('no_change',)
        >>> drop_reasons("I cannot help with that, but a locksmith can.", Hygiene())
        ()
    """
    text = words(revision)
    before = None if initial is None else words(initial)
    applies: dict[Reason, bool] = {
        "meta_prefix": _begins_with_any(revision, hygiene.meta_prefixes),
        "marker": any(marker in revision for marker in hygiene.markers),
        "repetition": repeated(text) > hygiene.most_repeated or is_loop(text),
        "emoji": (
            longest_emoji_run(revision) > hygiene.longest_emoji_run
            or len(emoji(revision)) > hygiene.emoji_density * len(text)
        ),
        "no_change": text == before,
        # An empty response has no length to be relative to.
        "length": len(text) < hygiene.fewest_words or bool(before and len(text) > hygiene.longest_ratio * len(before)),
        "unfinished": ended is False,
    }
    return tuple(reason for reason in REASONS if reason in hygiene.reasons and applies.get(reason, False))


def _begins_with_any(text: str, phrases: tuple[str, ...]) -> bool:
    sought = [_LETTERS.findall(phrase.lower()) for phrase in phrases]
    longest = max(map(len, sought), default=0)
    begin = [found.group().lower() for found in itertools.islice(_LETTERS.finditer(text), longest)]
    return any(begin[: len(phrase)] == phrase for phrase in sought)
