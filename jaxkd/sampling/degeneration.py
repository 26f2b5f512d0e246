"""Signs of degeneration in a student's text: its length, whether it ends, how much of it repeats."""

from collections.abc import Hashable, Sequence

NGRAM = 4
"""Number of tokens of a sequence that is checked for repetition."""


def repeated(tokens: Sequence[Hashable], *, size: int = NGRAM) -> float:
    """Share of the sequences of `size` tokens that occurred before, in [0, 1]; 0 for a shorter text.

    Source: the rep-n of Welleck et al., arXiv 1908.04319, section 6.  Deviation: none.

    Example:
        >>> repeated([1, 2, 1, 2, 1, 2], size=2)
        0.6
    """
    grams = [tuple(tokens[start : start + size]) for start in range(len(tokens) - size + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def degeneration(answers: Sequence[Sequence[int]], ended: Sequence[bool]) -> dict[str, float]:
    """Means over answers: `length` in tokens, `ended`, the share that ended by itself, and `repeated`.

    Returns:
        The means; all 0 if there are no answers.
    """
    count = max(len(answers), 1)
    return {
        "length": sum(map(len, answers)) / count,
        "ended": sum(ended) / count,
        "repeated": sum(repeated(answer) for answer in answers) / count,
    }
