"""Sentences that end many texts: found over all of them, and taken away however often they stand there."""

import pytest

from jaxkd.data.text.hygiene import shared_closers, without_closers
from tests.real_texts import CLOSER, bodies, contaminated, docstrings

PLANETS = [f"Planet {n} is made of rock." for n in range(100)]


def ending(closer, count):
    return [f"{text}{closer}" if place < count else text for place, text in enumerate(PLANETS)]


def test_a_sentence_above_the_share_is_found():
    assert shared_closers(ending(" Have a nice day!", 3)) == {"Have a nice day!": 0.03}
    assert shared_closers(ending(" Have a nice day!", 2)) == {}
    assert shared_closers(ending(" Have a nice day!", 2), share=0.0, fewest=2) == {"Have a nice day!": 0.02}


def test_a_share_of_a_few_texts_says_little():
    assert shared_closers(["One star. Thanks!", "One moon. Thanks!"]) == {}
    assert shared_closers(["One star. Thanks!", "One moon. Thanks!", "No. Thanks!"]) == {"Thanks!": 1.0}


def test_several_sentences_are_found_from_the_last_one_on():
    found = shared_closers(ending(f" {CLOSER}", 10))
    assert found == {":)": 0.1, "Have a great day!": 0.1, "Please let me know if you have any further questions.": 0.1}
    assert next(iter(found)) == ":)"
    assert without_closers(f"{PLANETS[0]} {CLOSER}", found) == PLANETS[0]


@pytest.mark.parametrize("copies", [1, 3, 5])
@pytest.mark.parametrize("between", [" ", "\n", "\n\n  "])
def test_a_repeated_closer_goes_whole(copies, between):
    closers = shared_closers(ending(f" {CLOSER}", 10))
    assert without_closers(between.join([PLANETS[0], *[CLOSER] * copies]), closers) == PLANETS[0]


@pytest.mark.parametrize(
    ("closer", "found"),
    [
        ("\nHave a  nice day", "Have a nice day"),
        (" Isn't it?", "Isn't it?"),
        (" (Ask me again!)", "(Ask me again!)"),
        (" 祝您一路平安。", "祝您一路平安。"),
        (" 😀", "😀"),
        (" 👍🏽👍🏽👍🏽", "👍🏽"),
    ],
)
def test_sentences_end_in_many_ways(closer, found):
    texts = ending(closer, 10)
    closers = shared_closers(texts)
    assert list(closers) == [found]
    assert [without_closers(text, closers) for text in texts] == PLANETS


def test_a_text_of_one_sentence_ends_with_nothing():
    assert shared_closers([*PLANETS, *["No idea."] * 10]) == {}
    # It is one, where it ends others.
    closers = shared_closers([*ending(" No idea.", 10), *["No idea."] * 10])
    assert list(closers) == ["No idea."]
    assert without_closers("No idea.", closers) == ""


def test_lines_of_code_are_no_sentences():
    texts = [f"x = {n}\nreturn result" for n in range(50)]
    assert shared_closers(texts) == {}
    assert shared_closers([f"{text}\n```" for text in texts]) == {}
    assert list(shared_closers([f"{text}\nIt works" for text in texts])) == ["It works"]


def test_a_closer_behind_a_text_without_a_full_stop():
    closers = {"Let me know if it works.": 0.5, "Bye.": 0.1, "and so on and on.": 0.1}
    assert without_closers("return x Let me know if it works.", closers) == "return x"
    # Short ones, and parts of sentences, are left where they may belong to it.
    for text in ("He said Bye.", "One, two and so on and on.", "xLet me know if it works."):
        assert without_closers(text, closers) == text


def test_other_text_stays_as_it_is():
    text = "  Have a nice day! Planet 3 is made of rock.  \n"
    assert without_closers(text, {"Have a nice day!": 1.0}) == text
    assert without_closers(text, {}) == text
    assert without_closers("", {"Bye!": 1.0}) == ""
    assert shared_closers([]) == {}


def test_a_long_end_without_a_sentence_is_searched_no_further():
    texts = [f"{n}. Have a nice day, {'and another ' * 60}one!" for n in range(10)]
    assert shared_closers(texts) == {}


@pytest.mark.parametrize("share", [0.1, 1.0])
@pytest.mark.parametrize("closer", [CLOSER, ":)", "I hope that this helps you!"])
@pytest.mark.parametrize("texts", [docstrings, bodies])
def test_real_texts_are_restored(texts, closer, share):
    before = texts()[:400]
    after = contaminated(before, share=share, closer=closer)
    closers = shared_closers(after)
    restored = [without_closers(text, closers) for text in after]
    assert sum(one.rstrip() == other.rstrip() for one, other in zip(restored, before, strict=True)) >= 0.99 * 400
