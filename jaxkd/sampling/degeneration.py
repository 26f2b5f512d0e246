"""Whether what a student writes is still text: its length, whether it ends, how much of it repeats."""

from collections.abc import Hashable, Sequence

NGRAM = 4
"""Tokens of a sequence that is looked for again."""


def repeated(tokens: Sequence[Hashable], *, size: int = NGRAM) -> float:
    """The share of the sequences of `size` tokens that were there before, in [0, 1]; 0 for a shorter text.

    Source: the rep-n of Welleck et al., arXiv 1908.04319, section 6.  Deviation: none.

    Example:
        >>> repeated([1, 2, 1, 2, 1, 2], size=2)
        0.6
    """
    grams = [tuple(tokens[start : start + size]) for start in range(len(tokens) - size + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def degeneration(answers: Sequence[Sequence[int]], ended: Sequence[bool]) -> dict[str, float]:
    """Means over answers: `length` in tokens, `ended`, the share that ends by itself, and `repeated`.

    Returns:
        All 0 where there is no answer.
    """
    count = max(len(answers), 1)
    return {
        "length": sum(map(len, answers)) / count,
        "ended": sum(ended) / count,
        "repeated": sum(repeated(answer) for answer in answers) / count,
    }
