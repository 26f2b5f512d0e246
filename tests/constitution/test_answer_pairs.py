"""Answers are joined by key and prompt, and what has no counterpart or no difference is kept apart."""

import pytest

from jaxkd.constitution.answer_pairs import join_answers
from jaxkd.constitution.preference_labels import comparison_principle
from jaxkd.data import Example


def answer(key, text, prompt="Count."):
    return Example(key=key, group=key, messages=(("user", prompt),), response=text)


def joined(first, second, seed=0):
    return join_answers(first, second, constitution="eight-principles", seed=seed)


def test_answers_are_joined_whatever_their_order():
    first = [answer("a", "One."), answer("b", "Two."), answer("c", "Three.")]
    second = [answer("c", "3"), answer("a", "1"), answer("b", "2")]
    pairs, dropped = joined(first, second)
    texts = [(pair.first.key, pair.first.response, pair.second.response) for pair in pairs]
    assert texts == [("a", "One.", "1"), ("b", "Two.", "2"), ("c", "Three.", "3")]
    assert dropped == []
    for pair in joined(first, second, seed=5)[0]:
        assert pair.principle == comparison_principle("eight-principles", seed=5, key=pair.first.key)


def test_the_others_have_a_reason():
    first = [answer("a", "One."), answer("b", " "), answer("c", ""), answer("d", "Same.\n"), answer("e", "Why?")]
    second = [answer("a", "1"), answer("b", "Two."), answer("c", ""), answer("d", " Same."), answer("f", "Who?")]
    pairs, dropped = joined(first, second)
    assert [pair.first.key for pair in pairs] == ["a"]
    found = [(pair.first and pair.first.key, pair.second and pair.second.key, pair.reason) for pair in dropped]
    assert found == [
        ("b", "b", "empty"),
        ("c", "c", "empty"),
        ("d", "d", "equal"),
        ("e", None, "unpaired"),
        (None, "f", "unpaired"),
    ]


def test_another_prompt_under_the_same_key_is_no_counterpart():
    pairs, dropped = joined([answer("a", "1"), answer("b", "2")], [answer("a", "3", "Add."), answer("b", "4")])
    assert [pair.first.key for pair in pairs] == ["b"]
    assert [pair.reason for pair in dropped] == ["unpaired", "unpaired"]


def test_answers_that_cannot_be_joined_are_refused():
    with pytest.raises(ValueError, match="second must have one answer to each key, got several to 'a'. Take a source"):
        joined([answer("a", "1")], [answer("a", "2"), answer("a", "3")])
    with pytest.raises(
        ValueError, match="must have answers to the same prompts under the same keys, got 0 and 1 withou"
    ):
        joined([], [answer("a", "2")])
