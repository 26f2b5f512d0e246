"""A program that criticises and judges functions."""

import dataclasses
from typing import get_args

import pytest

from jaxkd.constitution import NO_FLAW, CodeCritic, CodeJudge, Flawless, read_constitution
from jaxkd.data import Example
from jaxkd.data.preferences.code_flaws import Flaw
from jaxkd.data.text.standard_library import INSTRUCTION
from jaxkd.evals.judges.pairwise import Question
from tests.data.given import Given

PROMPT = f'{INSTRUCTION}def double(x):\n    """Return twice x."""'
GOOD, DEAD, BROKEN = "    return 2 * x", "    return 2 * x\n    x += 1", "    return 2 *"


def criticised(*bodies):
    conversations = [
        (("system", "Help."), ("user", PROMPT), ("assistant", body), ("user", "Is it good?")) for body in bodies
    ]
    return CodeCritic()(conversations, max_new_tokens=1)


def test_the_critic_names_each_flaw_or_none():
    none, dead, broken, two = criticised(GOOD, DEAD, BROKEN, "    y = 1\n    return 2\n    pass")
    assert none == NO_FLAW
    assert "follows a return" in dead
    assert "do not parse" in broken
    assert "never runs" in two
    assert "never read" in two


def test_the_last_answer_is_criticised_and_received():
    messages = (("user", PROMPT), ("assistant", BROKEN), ("user", "Mend it."), ("assistant", GOOD), ("user", "Well?"))
    got = {}
    assert CodeCritic()([messages], max_new_tokens=1, received=got.__setitem__) == [NO_FLAW]
    assert got == {0: NO_FLAW}
    assert "program" in CodeCritic().provenance()


def test_the_judge_prefers_fewer_flaws_in_either_order():
    pairs = [(GOOD, DEAD), (DEAD, GOOD), (DEAD, BROKEN), (GOOD, GOOD)]
    questions = [Question(prompt=PROMPT, first=first, second=second) for first, second in pairs]
    assert CodeJudge()(questions) == ["first", "second", "tie", "tie"]


def test_functions_without_a_flaw_are_kept():
    example = Example(key="good", group="g", messages=(("user", PROMPT),), response=GOOD)
    revised = dataclasses.replace(
        example, key="mended", messages=(*example.messages, ("assistant", BROKEN), ("user", "Mend it."))
    )
    spoilt = dataclasses.replace(revised, key="spoilt", response=DEAD)
    assert Flawless(source=Given(found=(example, spoilt, revised))).examples("train") == [example, revised]
    with pytest.raises(ValueError, match="one function at least must have no flaw, got none of 1 in the train split"):
        Flawless(source=Given(found=(spoilt,))).examples("train")


def test_each_principle_is_a_kind_of_flaw():
    found = read_constitution("function-principles")
    for principles in (found.principles, found.preferences):
        assert tuple(one.id for one in principles) == get_args(Flaw)


def test_what_is_no_function_is_refused():
    with pytest.raises(ValueError, match="a prompt must ask for a function as StandardLibrary does"):
        CodeCritic()([(("user", "2 + 2?"), ("assistant", "4."), ("user", "Sure?"))], max_new_tokens=1)
    with pytest.raises(ValueError, match="a conversation must have an answer to criticise, got the roles user"):
        CodeCritic()([(("user", PROMPT),)], max_new_tokens=1)
