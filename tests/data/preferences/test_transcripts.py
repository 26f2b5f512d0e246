"""Pairs as transcripts of a revision."""

import pytest

from jaxkd.data import FinalAnswer, Transcripts
from jaxkd.data.preferences.examples import Preference
from tests.data.given import GivenPairs

PAIR = Preference(key="a", group="g", messages=(("user", "2 + 2?"),), chosen="4.", rejected="5.")


def test_the_rejected_answer_is_revised_into_the_chosen_one():
    source = Transcripts(source=GivenPairs(found=(PAIR,)), request="Again.")
    (found,) = source.examples("train")
    assert found.messages == (("user", "2 + 2?"), ("assistant", "5."), ("user", "Again."))
    assert (found.key, found.group, found.response) == ("a", "g", "4.")
    assert FinalAnswer(source=source, follow_ups=1).examples("train") == [PAIR.answered("4.")]


def test_an_empty_request_is_refused():
    with pytest.raises(ValueError, match="request must be a text that is not empty"):
        Transcripts(source=GivenPairs(found=(PAIR,)), request=" ")
