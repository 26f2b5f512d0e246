"""Rewriting of a text by a tokenizer's normaliser, with the original bytes of each part.

An offset inside a rewritten letter has no counterpart in the original.  It is mapped in proportion to one inside the
letter, so that a token that ends there is not mistaken for one with the whole letter.
"""

import dataclasses
import functools
import itertools
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from jaxtyping import Int

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


def rewrite(text: str, normalize: Callable[[str], str], *, kept: Iterable[str] = ()) -> RewrittenText | None:
    """Rewrite a text piece by piece.

    Args:
        text: the original.
        normalize: the tokenizer's normaliser, applied before it splits words.
        kept: strings that it never changes: special tokens.

    Returns:
        The rewritten text, or None if the whole differs from its pieces.
    """
    rewritten, starts, ends = [b""], [0], [0]
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
            if after:
                origins = [place + _origin(offset, len(after), before) for offset in range(1, len(after) + 1)]
                starts += origins
                ends += origins
            elif before:
                # Deleted text belongs neither to what ends before it nor to what begins after it.
                starts[-1] = place + before
            place += before
    return RewrittenText(text=b"".join(rewritten), starts=np.array(starts), ends=np.array(ends))


def _origin(offset: int, after: int, before: int) -> int:
    """Return the offset in `before` bytes of one in the `after` bytes that they became, inside if it is inside."""
    return before if offset == after else max(min(1, before - 1), offset * before // after)


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
    """Split replaced white space of equal length by character, and changed letters from those before and behind.

    BERT puts spaces around Chinese: they stand for nothing in the text.
    """
    if old.isspace():
        same = new.isspace() and len(old) == len(new)
        return list(zip(old, new, strict=True)) if same else [(old, new)]
    if new.strip(" ") == old:
        before, _, behind = new.partition(old)
        return [("", before), (old, old), ("", behind)]
    before = _common_prefix(old, new)
    old, new = old.removeprefix(before), new.removeprefix(before)
    behind = _common_prefix(old[::-1], new[::-1])[::-1]
    parts = (before, before), (old.removesuffix(behind), new.removesuffix(behind)), (behind, behind)
    return [part for part in parts if any(part)]


def _common_prefix(one: str, other: str) -> str:
    equal = itertools.takewhile(lambda letters: letters[0] == letters[1], zip(one, other, strict=False))
    return "".join(letter for letter, _ in equal)


def _letters(word: str) -> Iterator[str]:
    """Yield letters, each with what may compose with it."""
    begin = 0
    for place in range(1, len(word)):
        letter = word[place]
        if letter.isascii() or not (unicodedata.category(letter)[0] == "M" or _HANGUL.match(letter)):
            yield word[begin:place]
            begin = place
    yield word[begin:]
