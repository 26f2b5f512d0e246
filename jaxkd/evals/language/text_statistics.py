"""Statistics of a model's answers that show repetition and lack of variety, and findings against a reference.

A model that is trained on its own generations, or on preferences, may start to repeat itself, to write on and on, or
to end every answer with the same words.  Each answer by itself may look fine.
"""

import dataclasses
import math
import re
import zlib
from collections import Counter
from collections.abc import Sequence

from jaxkd.metrics.emoji import emoji
from jaxkd.metrics.text_repetition import TAIL, distinct, distinct_in_tails, is_loop, repeated, words

ENDS = 8
"""Words of an answer's beginning or end that are compared across answers."""
SIZES = (1, 2, 4)
"""Numbers of words of the sequences whose variety is measured."""
SHARED = 0.05
"""Share of the answers above which an end that they have in common is a finding."""
LONG = 50
"""Fewest words of an answer that is searched for repetition."""

_SENTENCE = re.compile(r"[^.!?\n]+")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextStatistics:
    """Statistics of a set of answers."""

    answers: int
    length: float
    """Mean number of words and symbols."""
    repeated: float
    """Mean share of an answer's four-word sequences that occurred in it before, over answers of 50 words or more."""
    loops: float
    """Share of the answers that end in three or more repetitions of a unit of up to 40 words, not of symbols alone."""
    repeated_sentences: float
    """Mean share of an answer's sentences that occurred in it before."""
    distinct: dict[int, float]
    """Distinct sequences of n words over all, for n of 1, 2 and 4.  It falls with the length of the text."""
    distinct_in_tails: dict[int, float]
    """The same over the last 32 words of the answers that have so many; 1 if none has."""
    shared_beginning: float
    """Share of the answers that begin with the most common eight words."""
    shared_end: float
    """Share of the answers that end with the most common eight words."""
    emoji: float
    """Share of the answers with an emoji or an ASCII emoticon."""
    compression: float
    """Bytes of all answers together over their bytes compressed by zlib."""
    entropy: float
    """Entropy of single words, in bits."""
    unended: float | None
    """Share of the answers that were cut off at the token limit; None if unknown."""


def text_statistics(answers: Sequence[str], ended: Sequence[bool] | None = None) -> TextStatistics:
    """Compute the statistics of a set of answers.

    Args:
        answers: a model's answers, at least one; empty ones count as they are.
        ended: whether each ended by itself.

    Raises:
        ValueError: no answers, or a different number of `ended`.

    Source: repetition, Welleck et al. (arXiv 1908.04319), section 6; distinct n-grams, Li et al. (arXiv 1510.03055).
    Deviation: words and not tokens, so that models with different tokenizers compare.

    Example:
        >>> texts = ["A planet. Have a very nice day, my friend!", "No. Have a very nice day, my friend!"]
        >>> found = text_statistics(texts)
        >>> found.shared_end, found.shared_beginning
        (1.0, 0.5)
    """
    if not answers:
        raise ValueError("answers must hold at least one, got none.")
    if ended is not None and len(ended) != len(answers):
        raise ValueError(f"ended must have a value for each of the {len(answers)} answers, got {len(ended)}.")
    texts = [words(answer) for answer in answers]
    long = [text for text in texts if len(text) >= LONG]
    return TextStatistics(
        answers=len(answers),
        length=_mean([len(text) for text in texts]),
        repeated=_mean([repeated(text) for text in long]),
        loops=_mean([is_loop(text) for text in texts]),
        repeated_sentences=_mean([_repeated_sentences(answer) for answer in answers]),
        distinct={n: distinct(texts, n) for n in SIZES},
        distinct_in_tails={n: distinct_in_tails(texts, n) for n in SIZES},
        shared_beginning=_commonest([tuple(text[:ENDS]) for text in texts if len(text) >= ENDS], len(texts)),
        shared_end=_commonest([tuple(text[-ENDS:]) for text in texts if len(text) >= ENDS], len(texts)),
        emoji=_mean([bool(emoji(answer)) for answer in answers]),
        compression=_compression("\n".join(answers).encode()),
        entropy=_entropy(Counter(word for text in texts for word in text)),
        unended=None if ended is None else 1 - _mean(ended),
    )


def findings(
    answers: Sequence[str],
    reference: Sequence[str],
    *,
    ended: Sequence[bool] | None = None,
    reference_ended: Sequence[bool] | None = None,
) -> list[str]:
    """Problems of a model's answers relative to a reference's, one line each; empty if there are none.

    Repetition above a tenth and five times the reference's; loops in 2 points more of the answers; one end that more
    than 5 % share, and more than in the reference; 5 points more that were cut off; word pairs less than 0.6 times as
    varied, over equally many words.

    Args:
        answers: the model's answers.
        reference: the reference's answers to the same prompts, in the same order.
        ended: whether each answer ended by itself.
        reference_ended: the same for the reference's.

    Raises:
        ValueError: as `text_statistics`, or a different number of reference answers.

    Example:
        >>> findings(["A star.", "The sun and the moon."], ["One planet, or two.", "No idea, sorry."])
        []
        >>> for line in findings(["A star, yes yes yes", "A moon"], ["A star.", "One moon, I think."]):
        ...     print(line)
        50.0% of the answers end in a loop, 0.0% of the reference's: 'A star, yes yes yes'
    """
    by_statistic = findings_by_statistic(answers, reference, ended=ended, reference_ended=reference_ended)
    return list(by_statistic.values())


def findings_by_statistic(
    answers: Sequence[str],
    reference: Sequence[str],
    *,
    ended: Sequence[bool] | None = None,
    reference_ended: Sequence[bool] | None = None,
) -> dict[str, str]:
    """Return the lines of `findings`, each by the field of `TextStatistics` that it is about.

    Args:
        answers: the model's answers.
        reference: the reference's answers to the same prompts, in the same order.
        ended: whether each answer ended by itself.
        reference_ended: the same for the reference's.

    Raises:
        ValueError: as `findings`.

    Example:
        >>> list(findings_by_statistic(["A star, yes yes yes", "A moon"], ["A star.", "One moon, I think."]))
        ['loops']
    """
    if len(answers) != len(reference):
        raise ValueError(f"reference must answer the same {len(answers)} prompts, got {len(reference)} answers.")
    own, other = text_statistics(answers, ended), text_statistics(reference, reference_ended)
    texts, others = [words(answer) for answer in answers], [words(answer) for answer in reference]
    found = {}
    if own.repeated > max(0.1, 5 * other.repeated):
        worst = max(zip(map(repeated, texts), answers, strict=True))[1]
        found["repeated"] = (
            f"{own.repeated:.1%} of an answer repeats, {other.repeated:.1%} of the reference's: {_shown(worst)}"
        )
    if own.loops > other.loops + 0.02:
        first = next(answer for answer, text in zip(answers, texts, strict=True) if is_loop(text))
        found["loops"] = (
            f"{own.loops:.1%} of the answers end in a loop, {other.loops:.1%} of the reference's: {_shown(first)}"
        )
    if own.shared_end > max(SHARED, other.shared_end) and own.shared_end * own.answers > 1:
        end = Counter(tuple(text[-ENDS:]) for text in texts if len(text) >= ENDS).most_common(1)[0][0]
        found["shared_end"] = (
            f"{own.shared_end:.1%} of the answers have one end, {other.shared_end:.1%} of the reference's: "
            f"{_shown(' '.join(end))}"
        )
    # One of twenty is not more than 5 %, whatever the last digit of 1 - 0.95.
    if own.unended is not None and other.unended is not None and own.unended > other.unended + 0.05 + 1e-9:
        found["unended"] = f"{own.unended:.1%} of the answers were cut, {other.unended:.1%} of the reference's"
    # Longer text is less varied, and the beginnings hide loops at the ends.
    sizes = [min(len(one), len(two), TAIL) for one, two in zip(texts, others, strict=True)]
    varied, before = (
        distinct([text[len(text) - size :] for text, size in zip(side, sizes, strict=True)], 2)
        for side in (texts, others)
    )
    if varied < 0.6 * before:
        found["distinct_in_tails"] = (
            f"{varied:.1%} of the pairs of words at the ends are distinct, {before:.1%} of as many of the reference's"
        )
    return found


def _repeated_sentences(text: str) -> float:
    sentences = [one.strip().lower() for one in _SENTENCE.findall(text)]
    sentences = [one for one in sentences if len(one) >= 8]
    return 1 - len(set(sentences)) / len(sentences) if sentences else 0.0


def _commonest(ends: Sequence[tuple[str, ...]], answers: int) -> float:
    return Counter(ends).most_common(1)[0][1] / answers if ends else 0.0


def _compression(data: bytes) -> float:
    return len(data) / len(zlib.compress(data, 9)) if data else 1.0


def _entropy(counts: Counter[str]) -> float:
    total = sum(counts.values())
    return -sum(count / total * math.log2(count / total) for count in counts.values())


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _shown(text: str) -> str:
    """Format an answer as one short line that retains its end, where it goes wrong."""
    line = " ".join(text.split())
    return repr(line if len(line) <= 80 else f"... {line[-76:]}")
