"""Sentences that end many texts, such as a polite offer and a smiley: found over all texts, and taken away.

Each text may look fine by itself; a model that learns them ends every answer with the same words, and then repeats
them.
"""

import re
from collections import Counter
from collections.abc import Collection, Sequence

from jaxkd.metrics.emoji import EMOJI, split_last_emoji

_LONGEST = 400
"""Characters at the end of a text that are searched for its last sentence."""
_FEWEST_GLUED = 3
"""Fewest words of a closer that is recognised without a sentence's end before it."""

_END = r"[.!?…]+[\"'”’)\]*_]*"
_WIDE_END = r"[。！？]+[”’」』）]*"
_BOUNDARY = re.compile(rf"{_END}(?=\s)\s*|{_WIDE_END}\s*|\n\s*|{EMOJI.pattern}\s*")
_ENDS = re.compile(rf"(?:{_END}|{_WIDE_END})\Z")
_LETTER = re.compile(r"[^\W\d_]")


def shared_closers(texts: Sequence[str], *, share: float = 0.02, fewest: int = 3) -> dict[str, float]:
    """Find the sentences, emoji and emoticons that end more than `share` of all texts.

    A closer of several sentences is found sentence by sentence, from its last one on: what ends the texts is counted
    again without the closers that are known.  A line without a full stop is a sentence if it does not begin with a
    small letter, as lines of code do.

    Args:
        texts: all texts; their number is what a share is of.  One that is a single sentence ends with nothing.
        share: share in [0, 1).
        fewest: fewest texts that share a sentence.

    Returns:
        Share of the texts for each closer, the most frequent first.

    Source: inferred.  Deviation: none.

    Example:
        >>> texts = [f"{name} is round. Any more questions? Have a nice day! :)" for name in ("Mars", "Venus", "Io")]
        >>> shared_closers([*texts, "No. Have a nice day!"])
        {'Have a nice day!': 1.0, ':)': 0.75, 'Any more questions?': 0.75}
    """
    found: dict[str, float] = {}
    rest = list(texts)
    while True:
        lasts = (_last(text) for text in rest)
        counts = Counter(_spaced(last) for before, last in filter(None, lasts) if before)
        more = {
            closer: count / len(texts)
            for closer, count in sorted(counts.items())
            if count > share * len(texts) and count >= fewest and closer not in found
        }
        if not more:
            return dict(sorted(found.items(), key=lambda item: -item[1]))
        found |= more
        rest = [without_closers(text, found) for text in rest]


def without_closers(text: str, closers: Collection[str]) -> str:
    """Take all closers away that end a text, however often they are repeated.

    Args:
        text: the text.  One that is nothing but closers becomes empty.
        closers: sentences as `shared_closers` finds them.  Those of three words or more are also recognised behind a
            text that does not end in a full stop.

    Returns:
        The text, unchanged if no closer ends it.

    Source: inferred.  Deviation: none.

    Example:
        >>> without_closers("It is round. Bye! :) Bye! :)", ["Bye!", ":)"])
        'It is round.'
    """
    glued = [closer for closer in closers if closer[:1].isupper() and len(closer.split()) >= _FEWEST_GLUED]
    glued.sort(key=len, reverse=True)
    while (found := _last(text)) is not None:
        before, last = found
        if _spaced(last) in closers:
            text = before
            continue
        within = next((closer for closer in glued if re.search(rf"\s{re.escape(closer)}\Z", last)), None)
        if within is None:
            break
        text = text.rstrip().removesuffix(within).rstrip()
    return text


def _last(text: str) -> tuple[str, str] | None:
    """Split a text into the part before its last sentence, emoji or emoticon, and that; None if it ends in neither."""
    text = text.rstrip()
    if (found := split_last_emoji(text)) is not None:
        return found
    window = max(0, len(text) - _LONGEST)
    starts = [found.end() for found in _BOUNDARY.finditer(text, window) if found.end() < len(text)]
    if not starts and window:
        return None
    start = max(starts, default=0)
    last = text[start:]
    letter = _LETTER.search(last)
    if letter is None or not (_ENDS.search(last) or not letter.group().islower()):
        return None
    return text[:start].rstrip(), last


def _spaced(text: str) -> str:
    return " ".join(text.split())
