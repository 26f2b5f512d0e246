"""The final number of a text: spellings, rules, and long texts."""

import re
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxkd.metrics import equal_numbers, final_number

D, F = Decimal, Fraction

LAST = [
    ("The answer is 18.", D(18)),
    ("18。", D(18)),
    ("1,234,567.891", D("1234567.891")),
    ("1,2,3", D(3)),
    ("１２３", D(123)),
    ("１，２３４．５", D("1234.5")),
    ("限速100，200米", D(200)),
    (r"1{,}234 or 1\,234", D(1234)),
    ("1\u202f234", D(1234)),
    ("-5", D(-5)),
    ("−5", D(-5)),
    ("–5", D(-5)),
    ("－５", D(-5)),
    ("答案是-5。", D(-5)),
    ("x=-5", D(-5)),
    ("(-5)", D(-5)),
    ("+5", D(5)),
    ("10-5", D(5)),
    ("3–5", D(5)),
    ("COVID-19", D(19)),
    ("- 5 apples", D(5)),
    ("$18.50", D("18.5")),
    ("-$5", D(-5)),
    ("$-5", D(-5)),
    ("￥18", D(18)),
    ("€ 18", D(18)),
    ("18元", D(18)),
    ("50%", D(50)),
    ("５０％", D(50)),
    ("18km", D(18)),
    ("60km/h", D(60)),
    (".5", D("0.5")),
    ("1.5e-3", D("0.0015")),
    ("2E3", D(2000)),
    ("3/4", F(3, 4)),
    ("It is 3/4.", F(3, 4)),
    ("-3/4", F(-3, 4)),
    ("1.5/2", F(3, 4)),
    ("3⁄4", F(3, 4)),
    (r"$\frac{3}{4}$", F(3, 4)),
    (r"\dfrac{-3}{4}", F(-3, 4)),
    (r"-\frac{-3}{4}", F(3, 4)),
    (r"1\frac{3}{4}", F(7, 4)),
    (r"-1\frac34", F(-7, 4)),
    ("5²", D(5)),
    ("1.2.3", D("1.2")),
    ("H2O", None),
    ("3/0", None),
    (r"\frac{3}{0}", None),
    (r"1.5\frac{1}{2}", None),
    (r"1\frac{-1}{2}", None),
    ("none", None),
    ("", None),
    ("9" * 1001, None),
]

BOXED = [
    (r"so \boxed{18}, not 7", D(18)),
    (r"\boxed{1} and \boxed{2}", D(2)),
    (r"\boxed{\frac{3}{4}}", F(3, 4)),
    (r"\fbox{\tfrac 34}", F(3, 4)),
    (r"\boxed{3/4}", F(3, 4)),
    (r"\boxed{-1\frac{1}{2}}", F(-3, 2)),
    (r"\boxed{\frac{ 3 }{ 4 }}", F(3, 4)),
    (r"\boxed{1{,}234.50}", D("1234.5")),
    (r"\boxed{\$18}", D(18)),
    (r"\boxed{18\%}", D(18)),
    (r"\boxed{50^\circ}", D(50)),
    (r"\boxed{x = 5}", D(5)),
    (r"\boxed{5\text{ apples}}", D(5)),
    (r"\boxed{18 \mathrm{km/h}}", D(18)),
    (r"\boxed{\text{18}}", D(18)),
    (r"\boxed{18公里}", D(18)),
    (r"\boxed{18.}", D(18)),
    (r"\boxed{ }", None),
    (r"\boxed{2x}", None),
    (r"\boxed{2x + 1}", None),
    (r"\boxed{5\sqrt{2}}", None),
    (r"\boxed{1,2}", None),
    (r"\boxed{2 or 3}", None),
    (r"\boxed{\text{B}}", None),
    (r"\boxed{18", None),
    (r"\{ \boxed{\{18\}} \}", None),
    ("18", None),
]

GSM8K = [
    ("6 * 3 = 18\n#### 18", D(18)),
    ("####18", D(18)),
    ("#### $1,018.00", D(1018)),
    ("#### -5", D(-5)),
    ("#### **18**", D(18)),
    ("#### 18.", D(18)),
    ("#### 18 dollars", D(18)),
    ("#### 3/4", F(3, 4)),
    ("#### 18\n\nQuestion: ...\n#### 7", D(18)),
    ("#### 12. First step\n#### 7", D(7)),
    ("##### 18", None),
    ("#### Answer", None),
    ("18", None),
]


@pytest.mark.parametrize(("text", "number"), LAST)
def test_the_last_number(text, number):
    assert_is(final_number(text, "last"), number)


@pytest.mark.parametrize(("text", "number"), BOXED)
def test_the_number_in_the_last_box(text, number):
    assert_is(final_number(text, "boxed"), number)


@pytest.mark.parametrize(("text", "number"), GSM8K)
def test_the_number_after_four_hashes(text, number):
    assert_is(final_number(text, "gsm8k"), number)


def assert_is(found, number):
    """The same value and type: a decimal is not made a fraction."""
    assert (type(found), found) == (type(number), number)


def test_auto_takes_the_clearest_mark_that_a_text_has():
    assert final_number("1 \\boxed{2}\n#### 3\n4") == 3
    assert final_number("1 \\boxed{2} 4") == 2
    assert final_number("1 then 4") == 4
    # A heading is no mark, an open box is none; a box that holds no number is one.
    assert final_number("#### 1. First\n4") == 4
    assert final_number("4 \\boxed{5") == 5
    assert final_number("4 \\boxed{x}") is None


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**30), max_value=10**30))
def test_a_number_is_read_exactly_however_it_is_written(number):
    plain = f"{number:f}"
    spellings = [
        plain,
        f"{number:,f}",
        f"$ {plain} %." if number >= 0 else f"-${plain[1:]}",
        plain.translate(str.maketrans("0123456789.-", "０１２３４５６７８９．−")),
    ]
    for text in spellings:
        for marked in (f"thus {text}", f"1 \\boxed{{{text}}} 2", f"1\n#### {text}\n2"):
            assert final_number(marked) == number


@given(st.fractions())
def test_a_fraction_is_read_exactly(number):
    over, under = number.numerator, number.denominator
    assert final_number(f"{over}/{under}") == number
    assert final_number(rf"\boxed{{\frac{{{over}}}{{{under}}}}}") == number


def test_equality_is_exact():
    assert equal_numbers(D("0.50"), F(1, 2))
    assert equal_numbers(F(1, 2), D("0.5"))
    assert equal_numbers(D(18), 18)
    assert not equal_numbers(D("0.333333333333333333333333333333333333"), F(1, 3))
    assert not equal_numbers(D("1" * 40), D("1" * 39 + "2"))
    assert not any(equal_numbers(*pair) for pair in ((None, None), (None, D(1)), (D(1), None)))


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "1,",
        "111,",
        "1/",
        "1.5e",
        "-",
        "$",
        "#### ",
        "\\boxed{",
        "\\frac{1",
        "\\text{",
        "{,}",
        "\\boxed{1} ",
        " ",
        "#",
    ],
)
def test_long_texts_take_no_longer_than_their_length(text):
    """Backtracking that is quadratic in 1e5 characters would take hours."""
    repeated = text * (100_000 // len(text))
    final_number(repeated)
    final_number(f"\\boxed{{5{repeated}x2}}")


def test_unknown_rules_are_refused():
    with pytest.raises(ValueError, match=re.escape("rule must be one of auto, gsm8k, boxed, last, got 'first'.")):
        final_number("1", "first")
