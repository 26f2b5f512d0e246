"""The option that a reply chooses, over replies as models write them."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxkd.metrics import option

A, B, C, D = range(4)

CHOSEN = [
    # The letter alone.
    ("B", B),
    ("b", B),
    ("B.", B),
    ("B)", B),
    ("(C)", C),
    ("[C]", C),
    ("Ｃ", C),
    ("（D）", D),
    ("**D**", D),
    ("`D`", D),
    ("'B'", B),
    ("> **B**", B),
    ("A\u3000", A),
    ("- C", C),
    # At the beginning.
    ("B. Stop at the line.", B),
    ("B) Stop at the line.", B),
    ("B: stop", B),
    ("B - stop", B),
    ("B、减速慢行", B),
    ("B.减速慢行", B),
    ("B减速慢行", B),
    ("A 减速慢行", A),
    ("A选项", A),
    ("B because a train is long.", B),
    ("B\n\nExplanation: A is slower.", B),
    ("B. Stop at the line.\n\nOption A is incorrect.", B),
    ("A. Stop, because B is illegal.", A),
    # Announced.
    ("选A", A),
    ("我选B。", B),
    ("故选 C", C),
    ("本题选D", D),
    ("答案A", A),
    ("答案是 A", A),
    ("答案：A", A),
    ("答案为Ｂ选项", B),
    ("答案是：（B）", B),
    ("答：B。", B),
    ("正确答案是Ｄ。", D),
    ("正确的是C", C),
    ("不正确的是B", B),
    ("应该选择选项C", C),
    ("Answer: B", B),
    ("answer: b", B),
    ("ANSWER: B", B),
    ("**Answer:** C", C),
    ("**Answer: C**", C),
    ("The answer is (C)", C),
    ("The answer is C.", C),
    ("The answer's B", B),
    ("The answer is\n\nB", B),
    ("The answer, I think, is B.", B),
    ("The answer to this question is: **D**", D),
    ("The answer is A because it is safe.", A),
    ("The correct answer is option D because A is wrong.", D),
    ("The best choice: (B)", B),
    ("A train is longer. The answer is (C).", C),
    ("I choose (a).", A),
    ("I'd go with C over B", C),
    ("Between A and C, I pick C", C),
    ("A is correct", A),
    ("Option B is correct.", B),
    ("B must be the right one.", B),
    ("B项正确，A项错误。", B),
    ("选项A错误，选项B正确", B),
    ("A和B都是错的，C是正确答案", C),
    ("<answer>C</answer>", C),
    ('{"answer": "D"}', D),
    # Final.
    ("\\boxed{B}", B),
    ("$\\boxed{\\text{C}}$", C),
    ("最终答案：D", D),
    ("Final answer: B. I first thought that the answer is A.", B),
    # With an explanation.
    ("**Final Answer**: **C**", C),
    ("I'm not sure, but I would guess B.", B),
    ("Correct answer: B) because A) and C) are wrong", B),
    ("The answer is obviously (A), although (B) is tempting.", A),
    ("Let's see. A) is false. B) is false. C) is true. D) is false. So C.", C),
    ("The options are A, B, C and D. I choose D.", D),
    ("【答案】B【解析】A错误，C. 也错", B),
    ("B. 减速慢行\n\n解析：A选项错误，因为机动车应当减速。", B),
    ("这道题的答案是C，因为A、B、D都不符合规定。", C),
    ("综上所述，本题应选 D 项。", D),
    ("A项违反了规定。B项也不对。C项符合规定，所以选C。", C),
    # Denied.
    ("选Ｂ，不选A", B),
    ("不应选A，应选B", B),
    ("排除A和B，选C", C),
    ("D，因为A、B、C都错", D),
    ("A、C都不对，选D", D),
    ("不是A，是B", B),
    ("It is not A but B.", B),
    ("I don't think it's A. It's B.", B),
    ("Neither A nor B. C is correct.", C),
    ("A is wrong, B is wrong, so C.", C),
    ("A, B and C are wrong. D", D),
    ("You must not choose B; choose D.", D),
    ("It can't be (A), so (B).", B),
    # Set apart, and elsewhere.
    ("[[C]]", C),
    ("选项B", B),
    ("It must be option B", B),
    ("是B", B),
    ("I would say B", B),
    ("Let me think. Probably B, since D is a trap.", B),
]

NOT_CHOSEN = [
    "",
    "none of the above",
    # Several.
    "A or B",
    "A和B",
    "A/B",
    "A B",
    "A or (B)",
    "A or B is correct",
    "选A和B",
    "答案：AB",
    "答案：A、C",
    "Answer: A, C",
    "Both A and B are possible",
    "The answer is A. Wait, the answer is B.",
    "Option A says stop. Option B says go.",
    "A. Stop\nB. Go\nC. Turn",
    "A. stop B. go C. turn",
    "A.减速 B.加速",
    "A: wrong\nB: right",
    # Denied.
    "not A",
    "不是A",
    "不选A",
    "A错误",
    "The answer is not A",
    "A isn't right",
    # Other words.
    "A train is longer than a car.",
    "Answer: A train",
    "A right turn",
    "I think a driver must stop.",
    "I",
    "On a B-road you must stop.",
    "A's speed and B's speed",
    "U.S.A. and R&D",
    "C++ is a language",
    "class B roads",
    "A级景区",
    "A型车的B柱",
    "A车应让行",
    "A = 5",
    "B2 and C1",
    # Beyond the options.
    "E",
    "Answer: E",
    "Answer: E (B comes close)",
]


@pytest.mark.parametrize(("reply", "chosen"), CHOSEN)
def test_the_option_that_is_chosen(reply, chosen):
    assert option(reply, 4) == chosen


@pytest.mark.parametrize("reply", NOT_CHOSEN)
def test_no_option_or_several(reply):
    assert option(reply, 4) is None


def test_letters_go_as_far_as_the_options():
    assert option("The answer is (C).", 3) == C
    assert option("The answer is (C).", 2) is None
    assert [option(f"Answer: {letter}", 26) for letter in string.ascii_uppercase] == list(range(26))
    assert option("I is correct", 9) == 8
    assert option("I think that it is B", 9) == B


@given(st.text(alphabet=st.sampled_from("AB aB(),.、选不是answer \n*错"), max_size=40), st.integers(1, 26))
def test_any_reply_has_an_option_or_none(reply, count):
    chosen = option(reply, count)
    assert chosen is None or 0 <= chosen < count
    # Space around a reply says nothing.
    assert option(f" \n{reply}\n ", count) == chosen


@given(st.integers(0, 25), st.sampled_from(["{}", "({})", "Answer: {}.", "答案是{}。", "I choose **{}**.", "{}. Stop"]))
def test_full_width_letters_are_letters(place, form):
    letter = string.ascii_uppercase[place]
    assert option(form.format(letter), 26) == place
    assert option(form.format(chr(ord(letter) + 0xFEE0)), 26) == place


@pytest.mark.parametrize(
    "text", ["A ", "B,", "B (C). ", "(", "*", "answer ", "The answer is ", "不选A", "选项", " ", "a", "not "]
)
def test_long_replies_take_no_longer_than_their_length(text):
    """Backtracking that is quadratic in 1e5 characters would take hours."""
    option(text * (100_000 // len(text)), 4)


def test_a_count_without_letters_is_refused():
    for count in (0, 27):
        with pytest.raises(ValueError, match=rf"count must be from 1 to 26 options, one a letter, got {count}\."):
            option("A", count)
