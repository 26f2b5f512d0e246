"""Repetition in a text and lack of variety over several, by words: repeated sequences, loops, distinct sequences.

A text is a sequence of words; `repeated` takes a model's tokens too.
"""

import re
from collections.abc import Hashable, Iterator, Sequence

from jaxkd.metrics.rouge import CJK

Words = Sequence[str]

NGRAM = 4
"""Number of words or tokens of a sequence that is checked for repetition."""
LONGEST_UNIT = 40
"""Most words of a unit whose repetition at the end is a loop."""
TAIL = 32
"""Number of words at a text's end over which `distinct_in_tails` compares texts of any length."""

_WORD = re.compile(rf"[{CJK}]|[^\W{CJK}]+|[^\w\s]")
_LETTER = re.compile(r"\w")
_COPIES = 3
"""Repetitions of a unit at the end that make a loop."""


def words(text: str) -> list[str]:
    """Split a text into runs of letters and digits, single Chinese and Japanese characters, and symbols, in lower case.

    Args:
        text: text in any language.

    Returns:
        The words in order, white space left out.

    Source: inferred.  Deviation: none.

    Example:
        >>> words("Don't stop!")
        ['don', "'", 't', 'stop', '!']
        >>> words("限速60公里")
        ['限', '速', '60', '公', '里']
    """
    return _WORD.findall(text.lower())


def word_starts(text: str) -> list[int]:
    """Place in the text, in characters, at which each of its `words` begins.

    Args:
        text: text in any language.

    Returns:
        One place per word, in order.

    Source: inferred.  Deviation: none.

    Example:
        >>> word_starts("Don't stop!")
        [0, 3, 4, 6, 10]
    """
    # A letter may have several in lower case, as the Turkish capital I with a dot.
    places = [place for place, letter in enumerate(text) for _ in letter.lower()]
    return [places[found.start()] for found in _WORD.finditer(text.lower())]


def repeated(tokens: Sequence[Hashable], *, size: int = NGRAM) -> float:
    """Share of the sequences of `size` tokens that occurred before, 1 - distinct / all.

    Args:
        tokens: words of a text, or tokens of a model.
        size: number of tokens of a sequence.

    Returns:
        A value in [0, 1); 0 for a text of fewer than `size` tokens.

    Source: the rep-n of Welleck et al., arXiv 1908.04319, section 6.  Deviation: none.

    Example:
        >>> repeated([1, 2, 1, 2, 1, 2], size=2)
        0.6
    """
    grams = list(_ngrams(tokens, size))
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def is_loop(text: Words) -> bool:
    """Whether a text ends in three or more repetitions of a unit of up to 40 words, a letter or digit among them.

    Args:
        text: the words of a text.

    Returns:
        False for a run of symbols alone, such as an ellipsis or a line of dashes.

    Source: inferred.  Deviation: none.

    Example:
        >>> is_loop(words("It goes on and on and on and on")), is_loop(words("It goes on ..."))
        (True, False)
    """
    for size in range(1, min(LONGEST_UNIT, len(text) // _COPIES) + 1):
        unit = list(text[-size:])
        if list(text[-_COPIES * size :]) == unit * _COPIES and any(map(_LETTER.match, unit)):
            return True
    return False


def distinct(texts: Sequence[Words], size: int) -> float:
    """Number of distinct sequences of `size` words over that of all; none spans two texts.

    Args:
        texts: the words of each text.  The value falls with their number and length.
        size: number of words of a sequence.

    Returns:
        A value in (0, 1]; 1 if no text has `size` words.

    Source: Li et al., arXiv 1510.03055, section 5.2.  Deviation: none.

    Example:
        >>> distinct([["a", "b"], ["a", "b"]], 2)
        0.5
    """
    grams = [gram for text in texts for gram in _ngrams(text, size)]
    return len(set(grams)) / len(grams) if grams else 1.0


def distinct_in_tails(texts: Sequence[Words], size: int, *, budget: int = TAIL) -> float:
    """Compute `distinct` over the last `budget` words of each text that has so many.

    A loop at the end shows in tails of a fixed length, where heads hide it, and the length of the texts does not
    matter.

    Args:
        texts: the words of each text; shorter ones do not count.
        size: number of words of a sequence.
        budget: number of words of a tail.

    Returns:
        A value in (0, 1]; 1 if no text has `budget` words.

    Source: inferred.  Deviation: none.

    Example:
        >>> texts = [["a", "b", "c", "c"], ["d", "e", "c", "c"], ["f"]]
        >>> distinct_in_tails(texts, 1, budget=2), distinct(texts, 1)
        (0.25, 0.6666666666666666)
    """
    return distinct([text[-budget:] for text in texts if len(text) >= budget], size)


def _ngrams(tokens: Sequence[Hashable], size: int) -> Iterator[tuple[Hashable, ...]]:
    return (tuple(tokens[start : start + size]) for start in range(len(tokens) - size + 1))
