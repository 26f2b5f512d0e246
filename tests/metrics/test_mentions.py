"""Plain replies, ends of lines, and what the strongest mentions agree on."""

from jaxkd.metrics.mentions import Mention, Strength, begins_line, ends_line, plain, unanimous


def mentions(**values):
    return [Mention(value=value, strength=Strength[name]) for name, value in values.items()]


def test_a_plain_reply_is_half_width_between_line_ends():
    assert plain("  Ａ：\t b \r\n\n\u3000c\\text {d}") == "\nA: b\nc{d}\n"
    assert plain("") == "\n"


def test_only_marks_stand_before_or_after_in_the_line():
    text = plain("- **(B)**.\nso C, or\nD")
    b, c, d = (text.index(letter) for letter in "BCD")
    assert [begins_line(text, place) for place in (b, c, d)] == [True, False, True]
    assert [ends_line(text, place + 1) for place in (b, c, d)] == [True, False, True]


def test_the_strongest_mentions_decide_where_they_agree():
    assert unanimous([]) is None
    assert unanimous(mentions(BARE=1, ANNOUNCED=2)) == 2
    assert unanimous([*mentions(BARE=1, ALONE=2), *mentions(ALONE=2)]) == 2
    assert unanimous([*mentions(ALONE=1), *mentions(ALONE=2)]) is None
