"""Emoji and emoticons: which there are, how many in a row, and the one at the end."""

import pytest

from jaxkd.metrics.emoji import emoji, longest_emoji_run, split_last_emoji


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Fine :) or ;-) or :D or :P or :(", [":)", ";-)", ":D", ":P", ":("]),
        ("sun ☀, sun ☀\ufe0f and 🚀", ["☀", "☀\ufe0f", "🚀"]),
        ("👍🏽 from a 👩\u200d💻", ["👍🏽", "👩\u200d💻"]),
        ("note: (one) at 10:30; 5 > 3 → 8 =) é", []),
        ("", []),
    ],
)
def test_emoji_are_found(text, found):
    assert emoji(text) == found


def test_the_ends_of_the_ranges_count():
    assert [bool(emoji(chr(code))) for code in (0x25FF, 0x2600, 0x27BF, 0x27C0)] == [False, True, True, False]
    assert [bool(emoji(chr(code))) for code in (0x1F2FF, 0x1F300, 0x1FAFF, 0x1FB00)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("text", "longest"),
    [("", 0), ("none", 0), (":) and :)", 1), (":) :)\n:) and 😀😀", 3), ("👍🏽", 1), (":)" * 7, 7)],
)
def test_only_white_space_stands_within_a_run(text, longest):
    assert longest_emoji_run(text) == longest


def test_the_last_emoji_is_taken_off():
    assert split_last_emoji("Bye! :) :-) \n") == ("Bye! :)", ":-)")
    assert split_last_emoji("Bye!👩\u200d💻") == ("Bye!", "👩\u200d💻")
    assert split_last_emoji(":)") == ("", ":)")
    assert split_last_emoji(":) no") is split_last_emoji("") is None
