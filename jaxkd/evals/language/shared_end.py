"""The end that many of a model's answers share, and where it begins in each of them."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Sequence

from jaxkd.evals.language.text_statistics import ENDS, SHARED
from jaxkd.metrics.text_repetition import word_starts, words


@dataclasses.dataclass(frozen=True, kw_only=True)
class SharedEnd:
    """The words with which several answers end."""

    words: tuple[str, ...]
    text: str
    """The same as the first of these answers has it."""
    share: float
    """Share of the answers that have it."""

    def start_in(self, text: str) -> int | None:
        """Return the place at which the end begins in a text, in characters; None if the text ends differently.

        Repetitions directly before the end are a part of it.

        Example:
            >>> end = SharedEnd(words=("great", "day", "!"), text="great day!", share=0.5)
            >>> end.start_in("Mars. Have a great day!"), end.start_in("Great day! Great day!"), end.start_in("Mars.")
            (13, 0, None)
        """
        found, size, count = tuple(words(text)), len(self.words), 0
        while found[len(found) - size * (count + 1) : len(found) - size * count] == self.words:
            count += 1
        return word_starts(text)[-size * count] if count else None


def shared_end(answers: Sequence[str]) -> SharedEnd | None:
    """Find the end that the most answers share, all of the words that these have in common there.

    Args:
        answers: a model's answers.

    Returns:
        The end, from its first letter or digit on; None if its share, which is the `shared_end` of `text_statistics`,
        is at most 5 %, or if only one answer has it.

    Source: inferred.  Deviation: none.

    Example:
        >>> found = shared_end([f"{text} Have a nice day, my dear old friend!" for text in ("Mars.", "No.")])
        >>> found.text, found.share
        ('Have a nice day, my dear old friend!', 1.0)
    """
    texts = [words(answer) for answer in answers]
    ends = Counter(tuple(text[-ENDS:]) for text in texts if len(text) >= ENDS)
    if not ends:
        return None
    end, count = ends.most_common(1)[0]
    if count < 2 or count / len(answers) <= SHARED:
        return None
    # The answers that have these words may have more in common.
    columns = itertools.takewhile(
        lambda column: len(set(column)) == 1,
        zip(*(reversed(text) for text in texts if tuple(text[-ENDS:]) == end), strict=False),
    )
    common = [column[0] for column in columns][::-1]
    while len(common) > ENDS and not common[0].isalnum():
        del common[0]  # the full stop of the sentence before
    first = next(answer for answer, text in zip(answers, texts, strict=True) if tuple(text[-ENDS:]) == end)
    return SharedEnd(
        words=tuple(common), text=first[word_starts(first)[-len(common)] :].rstrip(), share=count / len(answers)
    )
