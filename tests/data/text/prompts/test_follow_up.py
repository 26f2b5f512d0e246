"""Conversations that go on, and what is learnt from them."""

import dataclasses

import pytest

from jaxkd.constitution import Critique, Revision
from jaxkd.data import Example, FinalAnswer, FollowUp
from jaxkd.runtime import configs
from tests.data.given import Given


def example(key="a", response="Four.", **fields):
    messages = (("system", "Be brief."), ("user", "2 + 2?"))
    return Example(key=key, group="g", messages=messages, response=response, **fields)


def test_the_response_becomes_a_turn_and_the_users_follows():
    (found,) = FollowUp(source=Given(found=(example(rendered="2 + 2?"),)), turn="Sure?").examples("train")
    messages = (("system", "Be brief."), ("user", "2 + 2?"), ("assistant", "Four."), ("user", "Sure?"))
    assert found == Example(key="a", group="g", messages=messages, response="")


@pytest.mark.parametrize("turn", [Critique(seed=2), Revision(seed=2), Revision(seed=2, pairing="independent")])
def test_a_draw_belongs_to_the_key_whatever_the_order(turn):
    rows = tuple(example(str(number)) for number in range(30))
    follow = FollowUp(source=Given(found=rows), turn=turn)
    found = {one.key: one for one in follow.examples("train")}
    assert list(found) == [str(number) for number in range(30)]
    for key, one in found.items():
        assert one.messages[-1] == ("user", turn.text(key))
        assert one.turn == turn.name(key)
    assert len({one.turn for one in found.values()}) > 4
    extended = FollowUp(source=Given(found=(example("new"), *rows[::-1])), turn=turn)
    assert {one.key: one for one in extended.examples("train") if one.key != "new"} == found


def test_the_final_answer_stands_after_the_prompt_before_the_follow_ups():
    first = (("user", "1 + 1?"), ("assistant", "Two."))
    start = example()
    start = dataclasses.replace(start, messages=(*first, *start.messages[1:]))
    found = start
    for response in ("Five, I said.", "Four!", "It is vague.", "4."):
        (found,) = FollowUp(source=Given(found=(found,)), turn=Critique()).examples("train")
        found = dataclasses.replace(found, response=response)
    (whole,) = FinalAnswer(source=Given(found=(found,)), follow_ups=4).examples("train")
    assert whole == dataclasses.replace(start, response="4.")
    (half,) = FinalAnswer(source=Given(found=(found,))).examples("train")
    assert [text for _, text in half.messages][-4::2] == ["Four.", "Five, I said."]


def test_what_cannot_go_on_is_refused():
    with pytest.raises(ValueError, match="a conversation must have a response to go on, got none in 'a'"):
        FollowUp(source=Given(found=(example(response=" \n"),)), turn="Sure?").examples("train")
    with pytest.raises(ValueError, match="turn must be a text that is not empty, or a draw, got an empty text"):
        FollowUp(source=FollowUp(source=Given(found=()), turn=" "), turn="Sure?").validate()
    with pytest.raises(FileNotFoundError, match="constitution must name an existing file"):
        FollowUp(source=Given(found=()), turn=Critique(constitution="nowhere.yaml")).validate()


def test_a_conversation_of_fewer_follow_ups_has_no_final_answer():
    source = FollowUp(source=Given(found=(example(),)), turn="Sure?")
    with pytest.raises(
        ValueError, match=r"a conversation must have 2 follow-ups after its .* system, user, assistant, u"
    ):
        FinalAnswer(source=source).examples("train")
    with pytest.raises(ValueError, match="follow_ups must be at least 1, got 0. Use the source itself"):
        FinalAnswer(source=source, follow_ups=0).examples("train")


def test_it_is_a_config():
    config = FinalAnswer(source=FollowUp(source=FollowUp(source=Given(found=()), turn="Sure?"), turn=Critique(seed=1)))
    assert configs.decode(configs.encode(config)) == config
