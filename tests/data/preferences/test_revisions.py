"""Pairs of a revision and the answer that it revises."""

import dataclasses
import json
import logging

import pytest

from jaxkd.data import Example, Jsonl, Preference, RevisionPairs, Source
from jaxkd.runtime import configs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Given(Source):
    """Examples that a test names."""

    found: tuple[Example, ...]

    def examples(self, split):
        return list(self.found)


def transcript(key, *texts, system=()):
    *turns, response = texts
    roles = ("user", "assistant")
    messages = (*system, *((roles[place % 2], text) for place, text in enumerate(turns)))
    return Example(key=key, group=f"group {key}", messages=messages, response=response, turn="honesty")


ONE = transcript("one", "Why?", "Go away.", "Criticise it.", "Rude.", "Revise it.", "Because.")


def pairs(*found, **fields):
    return RevisionPairs(source=Given(found=found), **fields).pairs("train")


def test_the_last_revision_is_chosen_and_the_initial_answer_rejected():
    system = (("system", "Be brief."),)
    more = ("Criticise it.", "Short.", "Revise it.", "Because it is.")
    two = transcript("two", "Why?", "Go.", "Criticise it.", "Rude.", "Revise it.", "No.", *more, system=system)
    assert pairs(ONE, two) == [
        Preference(key="one", group="group one", messages=(("user", "Why?"),), chosen="Because.", rejected="Go away."),
        Preference(
            key="two",
            group="group two",
            messages=(*system, ("user", "Why?")),
            chosen="Because it is.",
            rejected="Go.",
        ),
    ]


def test_a_prompt_may_have_turns_of_the_assistant_itself():
    dialogue = transcript("a", "Hi", "Hello.", "Why?", "Go away.", "Revise it.", "Because.")
    (pair,) = pairs(dialogue, follow_ups=1)
    assert [text for _, text in pair.messages] == ["Hi", "Hello.", "Why?"]
    assert (pair.chosen, pair.rejected) == ("Because.", "Go away.")
    (first,) = pairs(dialogue)
    assert (first.chosen, first.rejected) == ("Because.", "Hello.")


def test_revisions_that_change_nothing_are_left_out_and_counted(caplog):
    same = dataclasses.replace(ONE, key="same", response=" Go away.\n")
    empty = dataclasses.replace(ONE, key="empty", response=" ")
    with caplog.at_level(logging.INFO):
        assert [pair.key for pair in pairs(same, ONE, empty)] == ["one"]
    assert "train: left out 2 of 3 transcripts, whose revision is the initial answer or empty" in caplog.text
    with pytest.raises(ValueError, match="one revision at least must differ from its initial answer, got none of 2"):
        pairs(same, empty)


@pytest.mark.parametrize("messages", [(("user", "Why?"),), (("assistant", "Hello."), ("user", "Why?"))])
def test_a_conversation_without_an_initial_answer_is_refused(messages):
    message = "a transcript must have an initial answer after its prompt, got the roles .* in 'one'"
    with pytest.raises(ValueError, match=message):
        pairs(dataclasses.replace(ONE, messages=messages))


def test_transcripts_are_read_from_a_folder_of_a_stage(tmp_path):
    messages = [{"role": role, "content": text} for role, text in (*ONE.messages, ("assistant", ONE.response))]
    (tmp_path / "train.jsonl").write_text(json.dumps({"key": "one", "messages": messages}) + "\n")
    source = RevisionPairs(source=Jsonl(train=str(tmp_path)))
    assert source.pairs("train") == [dataclasses.replace(pair, group="one") for pair in pairs(ONE)]
    assert configs.decode(configs.encode(source)) == source
    assert configs.encode(source)["type"] == "jaxkd.data:RevisionPairs"
