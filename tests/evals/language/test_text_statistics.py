"""Figures of a set of answers, and what is wrong with them."""

import math

import pytest

from jaxkd.evals.language.text_statistics import findings, text_statistics

PLANETS = [f"The planet number {n} is made of rock, and its year has {30 * n + 7} days." for n in range(20)]


def test_hand_values():
    health = text_statistics(["one two one two", "one two three"], ended=[True, False])
    assert (health.answers, health.length, health.unended) == (2, 3.5, 0.5)
    assert health.distinct == {1: 3 / 7, 2: 3 / 5, 4: 1.0}
    assert health.entropy == pytest.approx(-(3 / 7 * math.log2(3 / 7) * 2 + 1 / 7 * math.log2(1 / 7)))
    assert text_statistics(["same words here. same words here. other words."]).repeated_sentences == pytest.approx(
        1 / 3
    )
    assert text_statistics(["a"]).unended is None
    assert text_statistics(["word " * 60]).repeated == pytest.approx(1 - 1 / 57)
    assert text_statistics(["short short short short"]).repeated == 0.0
    assert text_statistics([""]).compression == 1.0


def test_shared_ends_are_of_eight_words():
    answers = [*(f"{n} and then some words that all have at the end" for n in range(3)), "short"]
    health = text_statistics(answers)
    assert (health.shared_end, health.shared_beginning) == (0.75, 0.25)


def test_healthy_answers_have_no_findings():
    assert findings(PLANETS, PLANETS) == []
    assert findings(PLANETS, PLANETS[::-1], ended=[True] * 20, reference_ended=[True] * 20) == []


CASES = [
    ([answer + " I hope this helps you, my dear friend!" for answer in PLANETS], "have one end, 5.0%"),
    (["round and " * 40 for _ in PLANETS], "of an answer repeats, 0.0% of the reference's: '... "),
    ([*PLANETS[:-1], "it goes on and on and on and on"], "5.0% of the answers end in a loop, 0.0%"),
    (["It is made of rock, it is made of rock, yes."] * 20, "of the pairs of words at the ends are distinct"),
]


@pytest.mark.parametrize(("answers", "finding"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_what_went_wrong_is_said(answers, finding):
    assert any(finding in line for line in findings(answers, PLANETS))


def test_answers_that_were_cut_are_counted():
    lines = findings(PLANETS, PLANETS, ended=[False] * 2 + [True] * 18, reference_ended=[True] * 20)
    assert lines == ["10.0% of the answers were cut, 0.0% of the reference's"]


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="answers must hold at least one, got none"):
        text_statistics([])
    with pytest.raises(ValueError, match="ended must have a value for each of the 2 answers, got 1"):
        text_statistics(["a", "b"], ended=[True])
    with pytest.raises(ValueError, match="reference must answer the same 2 prompts, got 1 answers"):
        findings(["a", "b"], ["a"])
