"""The end that answers share, as it is written in each of them."""

import pytest

from jaxkd.evals.language.shared_end import shared_end
from jaxkd.evals.language.text_statistics import text_statistics
from tests.real_texts import CLOSER, contaminated, docstrings


def test_the_whole_closer_is_found_wherever_it_is_repeated():
    texts = contaminated(docstrings()[:100], share=0.3)
    end = shared_end(texts)
    assert end.text == CLOSER
    assert end.share == text_statistics(texts).shared_end == 0.3
    for text, before in zip(texts, docstrings()[:100], strict=True):
        place = end.start_in(text)
        assert (place is None) == (text == before)
        if place is not None:
            assert text[:place] == f"{before} "
            assert set(text[place:].split(CLOSER)) <= {"", " "}


def test_white_space_and_case_do_not_matter_and_places_are_those_of_the_text():
    # A capital letter that has two in lower case moves no place.
    texts = ["İİ. Write me\nif you want to know MORE!\n", "No. Write me if you want to know more!"]
    end = shared_end(texts)
    assert end.words == ("write", "me", "if", "you", "want", "to", "know", "more", "!")
    assert end.text == "Write me\nif you want to know MORE!"
    assert [text[end.start_in(text) :] for text in texts] == [
        "Write me\nif you want to know MORE!\n",
        "Write me if you want to know more!",
    ]


@pytest.mark.parametrize("text", ["", "more!", "want to know more!", "Write me if you want to know more", "Write me!"])
def test_another_end_is_none(text):
    end = shared_end([f"{one} Write me if you want to know more!" for one in ("Yes.", "No.")])
    assert end.start_in(text) is None


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["short", "short"],
        ["one of a kind, which nobody else has ever written", "another one"],
        [f"{number} and so on, and so on, and so on" for number in (1, 1)] + ["an answer"] * 38,
    ],
)
def test_an_end_of_few_answers_is_not_shared(texts):
    assert shared_end(texts) is None


def test_symbols_alone_may_be_shared():
    end = shared_end(["yes --------", "no --------"])
    assert end.text == "--------"
    assert end.start_in("perhaps ----------------") == 8
