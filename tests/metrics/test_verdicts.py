"""True or false, over replies as models write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxkd.metrics import truth

TRUE = [
    "正确",
    "正确。",
    "完全正确",
    "对",
    "对的。",
    "是",
    "是的",
    "√",
    "✓",
    "没错",
    "没有错误",
    "不是错误的",
    "该说法是正确的。",
    "答案：正确",
    "判断：对",
    "我认为这种说法是对的。",
    "True",
    "TRUE.",
    "ＴＲＵＥ",
    "**True**",
    "true, because trains are longer",
    "Yes.",
    "Yes, that is correct.",
    "That's right.",
    "This is a true statement.",
    "That is not false.",
    "It isn't wrong.",
    "True. It would be false if the limit were 60.",
    "Trains may be long. The statement is true, and not false at all.",
]

FALSE = [
    "错误",
    "错误。",
    "错。",
    "错的",
    "否",
    "×",
    "不正确",
    "不对",
    "不是",
    "不是的。",
    "不成立",
    "并非正确",
    "这个说法不完全正确",
    "不能说是正确的",
    "这种说法是错的。",
    "我认为该表述错误",
    "答：否。",
    "错误。正确的做法是减速。",
    "答案：错误。因为正确的做法是减速。",
    "False",
    "false.",
    "No",
    "No, it is not.",
    "Wrong!",
    "incorrect",
    "untrue",
    "not true",
    "not correct",
    "It isn't true.",
    "It can’t be true",
    "This is not entirely accurate.",
    "The statement is false.",
    "This is a false statement.",
    "The correct answer is false.",
    "False. It would be true if the limit were 60.",
]

NEITHER = [
    "",
    "我不知道",
    "对于机动车，应当减速",
    "但是绝对不能反对",
    "是否正确",
    "正确吗",
    "正确的做法是减速",
    "No vehicle may stop here.",
    "the right of way",
    "the correct lane",
    # Both.
    "正确或错误",
    "正确，错误",
    "对错",
    "True or false?",
    "true/false",
    "It is true. It is false.",
    "neither true nor false",
    "The answer is true. The answer is false.",
]


@pytest.mark.parametrize("reply", TRUE)
def test_true(reply):
    assert truth(reply) is True


@pytest.mark.parametrize("reply", FALSE)
def test_false(reply):
    assert truth(reply) is False


@pytest.mark.parametrize("reply", NEITHER)
def test_neither_or_both(reply):
    assert truth(reply) is None


@given(st.sampled_from([*TRUE, *FALSE]))
def test_space_and_emphasis_around_a_reply_say_nothing(reply):
    assert truth(f"\n **{reply}** \n") is truth(reply)


@pytest.mark.parametrize("text", ["true ", "not ", "对", "正确", "不是", "*", " ", "答案是", "statement is "])
def test_long_replies_take_no_longer_than_their_length(text):
    """Backtracking that is quadratic in 1e5 characters would take hours."""
    truth(text * (100_000 // len(text)))
