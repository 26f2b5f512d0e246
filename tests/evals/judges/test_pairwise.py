"""Probabilities and provenance of a judge that gives verdicts alone."""

import dataclasses

import pytest

from jaxkd.evals.judges.pairwise import Judge, Question


@dataclasses.dataclass(frozen=True, kw_only=True)
class Repeating(Judge):
    """A judge that repeats what it is told."""

    verdicts: tuple[str, ...]

    def __call__(self, questions):
        return list(self.verdicts)


def test_verdicts_are_probabilities_of_one_a_half_and_zero():
    judge = Repeating(verdicts=("first", "tie", "second"))
    assert judge.probabilities([Question(prompt="p", first="a", second="b")] * 3) == [1.0, 0.5, 0.0]
    assert judge.provenance() == "Repeating(verdicts=('first', 'tie', 'second'))"


def test_something_else_than_a_verdict_is_refused():
    with pytest.raises(ValueError, match="Repeating must return verdicts among 'first', 'tie', 'second', got 'A'"):
        Repeating(verdicts=("first", "A")).probabilities([])
