"""Rewriting of a text by a tokenizer's normaliser, with the original bytes of each part.

Unicode normalisation, lower case and collapsed spaces rewrite a text in small independent pieces.  So
the text is cut into such pieces, each is rewritten alone, and the result is checked against the whole;
if it differs, nothing is guessed.
"""

import dataclasses
import functools
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from jaxtyping import Bool, Int

_WORDS = re.compile(r"\s+|\S+")
_HANGUL = re.compile("[\u1160-\u11ff]")
"""Vowels and finals that compose with the preceding letter."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class RewrittenText:
    """A rewritten text and the origin of each of its bytes."""

    text: bytes
    starts: Int[np.ndarray, " n"]
    """Offset in the original of what begins at each offset of `text`."""
    ends: Int[np.ndarray, " n"]
    """Offset in the original of what ends at each offset of `text`."""
    inside: Bool[np.ndarray, " n"]
    """Whether each offset is inside a rewritten piece, so that it has no counterpart in the original."""


def rewrite(text: str, normalize: Callable[[str], str], *, kept: Iterable[str] = ()) -> RewrittenText | None:
    """Rewrite a text piece by piece.

    Args:
        text: the original.
        normalize: the tokenizer's normaliser, applied before it splits words.
        kept: strings that it never changes: special tokens.

    Returns:
        The rewritten text, or None if the whole differs from its pieces.
    """
    rewritten, starts, ends, inside = [b""], [0], [0], [False]
    place = 0
    for piece, fixed in _pieces(text, tuple(kept)):
        parts = [(piece, piece)]
        if not fixed:
            parts = _rewritten_parts(piece, normalize)
            if parts is None:
                return None
        for old, new in parts:
            before, after = len(old.encode()), new.encode()
            rewritten.append(after)
            if old == new:
                starts += range(place + 1, place + before + 1)
                ends += range(place + 1, place + before + 1)
                inside += [False] * before
            elif after:
                starts += [place] * (len(after) - 1) + [place + before]
                ends += [place + before] * len(after)
                inside += [before > 0] * (len(after) - 1) + [False]
            elif before:
                # Deleted text belongs neither to what ends before it nor to what begins after it.
                starts[-1] = place + before
            place += before
    return RewrittenText(
        text=b"".join(rewritten), starts=np.array(starts), ends=np.array(ends), inside=np.array(inside)
    )


def _pieces(text: str, kept: tuple[str, ...]) -> Iterator[tuple[str, bool]]:
    """Split a text at the strings in `kept`, which are marked True."""
    split = [text]
    if kept:
        split = re.split(f"({'|'.join(re.escape(one) for one in sorted(kept, key=len, reverse=True))})", text)
    return ((piece, bool(index % 2)) for index, piece in enumerate(split) if piece)


def _rewritten_parts(piece: str, normalize: Callable[[str], str]) -> list[tuple[str, str]] | None:
    """Return the smallest independently rewritten parts, before and after."""
    words = _WORDS.findall(piece)
    cached = functools.cache(normalize)
    parts: list[tuple[str, str]] = []
    for index, word in enumerate(words):
        if word.isspace():
            # A run of spaces may be collapsed between words and vanish at the ends.
            left, right = "x" * (index > 0), "x" * (index + 1 < len(words))
            new = cached(left + word + right)
            if not (new.startswith(left) and new.endswith(right)):
                return None
            parts.append((word, new[len(left) : len(new) - len(right)]))
        elif cached(word) == word:
            parts.append((word, word))
        else:
            parts += [(old, cached(old)) for old in _letters(word)]
    if "".join(new for _, new in parts) != normalize(piece):
        return None
    return [part for old, new in parts for part in _finer(old, new)]


def _finer(old: str, new: str) -> list[tuple[str, str]]:
    """Split replaced white space of equal length by character, and inserted spaces from the letters between.

    BERT puts spaces around Chinese: they stand for nothing in the text.
    """
    if old.isspace():
        same = new.isspace() and len(old) == len(new)
        return list(zip(old, new, strict=True)) if same else [(old, new)]
    if old == new or new.strip(" ") != old:
        return [(old, new)]
    before, _, behind = new.partition(old)
    return [("", before), (old, old), ("", behind)]


def _letters(word: str) -> Iterator[str]:
    """Yield letters, each with what may compose with it."""
    begin = 0
    for place in range(1, len(word)):
        letter = word[place]
        if letter.isascii() or not (unicodedata.category(letter)[0] == "M" or _HANGUL.match(letter)):
            yield word[begin:place]
            begin = place
    yield word[begin:]
