"""What a tokenizer's normaliser makes of a text, and which bytes of the text each stretch of it came from.

Unicode normalisation, lower case and collapsed spaces rewrite a text in small pieces that do not know
of one another.  So the text is cut into such pieces, each is rewritten alone, and the result is checked
against the whole; where it differs, nothing is guessed.
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
"""Vowels and finals that compose with the letter before them."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class RewrittenText:
    """A rewritten text and where its bytes came from, byte for byte."""

    text: bytes
    starts: Int[np.ndarray, " n"]
    """For each place in `text`: where in the original begins what begins there."""
    ends: Int[np.ndarray, " n"]
    """Where in the original ends what ends there."""
    inside: Bool[np.ndarray, " n"]
    """Whether the place lies within a piece that was rewritten, so that no place in the original is its own."""


def rewrite(text: str, normalize: Callable[[str], str], *, kept: Iterable[str] = ()) -> RewrittenText | None:
    """Rewrite a text piece by piece.

    Args:
        text: the original.
        normalize: what the tokenizer does to a text before it cuts it into words.
        kept: strings that it leaves alone, wherever they stand: special tokens.

    Returns:
        None where the whole is not its pieces, one after the other.
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
                # What vanished belongs neither to what ends before it nor to what begins behind it.
                starts[-1] = place + before
            place += before
    return RewrittenText(
        text=b"".join(rewritten), starts=np.array(starts), ends=np.array(ends), inside=np.array(inside)
    )


def _pieces(text: str, kept: tuple[str, ...]) -> Iterator[tuple[str, bool]]:
    """The text around and between the strings that are kept; True for those."""
    split = [text]
    if kept:
        split = re.split(f"({'|'.join(re.escape(one) for one in sorted(kept, key=len, reverse=True))})", text)
    return ((piece, bool(index % 2)) for index, piece in enumerate(split) if piece)


def _rewritten_parts(piece: str, normalize: Callable[[str], str]) -> list[tuple[str, str]] | None:
    """The smallest stretches that are rewritten by themselves, before and after."""
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
    """White space that became other white space of as many characters, and letters between spaces that were put there.

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
    """Letters, each with what may compose with it."""
    begin = 0
    for place in range(1, len(word)):
        letter = word[place]
        if letter.isascii() or not (unicodedata.category(letter)[0] == "M" or _HANGUL.match(letter)):
            yield word[begin:place]
            begin = place
    yield word[begin:]
