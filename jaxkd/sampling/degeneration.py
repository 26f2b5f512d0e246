"""Signs of degeneration in a student's text: its length, whether it ends, how much of it repeats."""

from collections.abc import Sequence

from jaxkd.metrics.text_repetition import repeated


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
