"""Words, repetition within a text, loops at its end, and variety over texts."""

import random

import pytest

from jaxkd.metrics.text_repetition import (
    LONGEST_UNIT,
    TAIL,
    distinct,
    distinct_in_tails,
    is_loop,
    repeated,
    word_starts,
    words,
)


def test_words_are_runs_of_letters_and_single_signs():
    assert words("Don't stop: naïve_1!") == ["don", "'", "t", "stop", ":", "naïve_1", "!"]


@pytest.mark.parametrize("text", ["Don't stop: naïve_1!", " 限速60公里 ", "ΣΑΣ İİ (İ) x", ""])
def test_every_word_begins_where_it_stands(text):
    found = words(text)
    places = word_starts(text)
    assert len(places) == len(found)
    for place, word in zip(places, found, strict=True):
        assert word[0] in text[place].lower()


def test_a_sequence_counts_from_its_second_time():
    assert repeated([5, 6, 7, 8, 5, 6, 7, 8]) == pytest.approx(1 / 5)
    assert repeated([1] * 10) == pytest.approx(6 / 7)
    assert repeated(range(100)) == 0


def test_a_text_without_a_sequence_repeats_nothing():
    assert repeated([1, 1, 1]) == repeated([]) == 0


def test_repeated_is_what_the_distinct_lack():
    draw = random.Random(0)
    for _ in range(20):
        text = draw.choices("abc", k=30)
        assert repeated(text, size=3) == pytest.approx(1 - distinct([text], 3))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a b c a b c a b c", True), ("x a a a", True), ("a a", False), ("a b a b a", False), ("", False)],
)
def test_a_loop_is_three_repetitions_at_the_end(text, expected):
    assert is_loop(text.split()) == expected


def test_units_of_loops_have_a_largest_length():
    assert is_loop([str(n % LONGEST_UNIT) for n in range(3 * LONGEST_UNIT)])
    assert not is_loop([str(n % (LONGEST_UNIT + 1)) for n in range(3 * (LONGEST_UNIT + 1))])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I wonder ...", False),
        ("----------", False),
        ("no! no! no!", True),
        ("1 . . . 1 . . . 1 . . .", True),
        ("好 好 好", True),
        ("_ _ _", True),
    ],
)
def test_a_loop_repeats_a_word_and_not_signs_alone(text, expected):
    assert is_loop(words(text)) == expected


def test_sequences_do_not_run_from_one_text_into_the_next():
    assert distinct([["a", "b"], ["a", "b"]], 2) == 0.5
    assert distinct([["a"], ["b"]], 2) == 1.0
    assert distinct([], 1) == 1.0


def test_tails_show_what_heads_hide():
    heads = [[f"{place} {word}" for word in range(TAIL)] for place in range(10)]
    looping = [head + ["on", "and"] * TAIL for head in heads]
    assert distinct([text[:TAIL] for text in looping], 2) == 1.0
    assert distinct_in_tails(looping, 2) == pytest.approx(2 / (10 * (TAIL - 1)))
    assert distinct_in_tails(heads, 2) == 1.0


def test_texts_below_the_budget_do_not_count():
    assert distinct_in_tails([["a", "a", "a"], ["b", "b"]], 1, budget=3) == pytest.approx(1 / 3)
    assert distinct_in_tails([["a", "a"]], 1) == 1.0
