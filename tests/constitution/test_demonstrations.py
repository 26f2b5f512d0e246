"""Dialogues of a constitution before each conversation, and without them again."""

import dataclasses

import pytest

from jaxkd.constitution import Critique, Demonstrated, WithoutDemonstrations
from jaxkd.data import Example, FollowUp
from jaxkd.runtime.packages import file_sha256
from tests.data.given import Given

YAML = """
name: shown
principles: [{id: truth, critique: "Is it true?", revision: "Make it true."}]
demos:
  - [{role: user, content: "1 + 1?"}, {role: assistant, content: "3."}]
  - [{role: user, content: "Is it true?"}, {role: assistant, content: "No."}]
"""
SHOWN = (("user", "1 + 1?"), ("assistant", "3."), ("user", "Is it true?"), ("assistant", "No."))


@pytest.fixture
def constitution(tmp_path):
    path = tmp_path / "shown.yaml"
    path.write_text(YAML)
    return str(path)


@pytest.mark.parametrize("system", [(), (("system", "Be brief."),)])
def test_dialogues_stand_before_the_prompt_and_are_taken_away(constitution, system):
    asked = Example(key="a", group="g", messages=(*system, ("user", "2 + 2?")), response="")
    source = Demonstrated(source=Given(found=(asked,)), constitution=constitution)
    (found,) = source.examples("train")
    assert found == dataclasses.replace(asked, messages=(*system, *SHOWN, ("user", "2 + 2?")))
    answered = Given(found=(dataclasses.replace(found, response="5."),))
    (followed,) = FollowUp(source=answered, turn=Critique(constitution=constitution)).examples("train")
    (bare,) = WithoutDemonstrations(source=Given(found=(followed,)), constitution=constitution).examples("train")
    assert bare.messages == (*asked.messages, ("assistant", "5."), ("user", "Is it true?"))
    assert source.input_hashes("train") == {"constitution": file_sha256(constitution)}


def test_what_has_no_dialogues_is_refused(constitution):
    asked = Given(found=(Example(key="a", group="g", messages=(("user", "2 + 2?"),), response=""),))
    with pytest.raises(ValueError, match="constitution must have dialogues, got none in 'eight-principles'"):
        Demonstrated(source=asked, constitution="eight-principles").examples("train")
    with pytest.raises(ValueError, match="a conversation must begin with the 4 turns .* got others in 'a'"):
        WithoutDemonstrations(source=asked, constitution=constitution).examples("train")
