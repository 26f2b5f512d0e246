"""Two tokenizations above each other: what is written, and where."""

import numpy as np
import pytest

from jaxkd.report import token_rows
from jaxkd.report.token_rows import TokenRow


def row(name, ends, partners):
    spans = np.stack([[0, *ends[:-1]], ends], axis=-1).astype(np.int32)
    return TokenRow(name=name, spans=spans, partners=np.array(partners))


ABOVE = row("one", [2, 2, 5, 7, 8], [0, -1, -1, -1, 3])  # "ab", nothing, " cd"..., half a letter, the other half
BELOW = row("two", [2, 3, 7, 8], [0, -1, -1, 4])


def texts(figure):
    return {text.get_text(): text.get_position() for text in figure.axes[0].texts}


def test_white_space_and_bytes_can_be_seen():
    assert token_rows.visible(" a\tb\r\n\x00\u200d".encode()) == "␣a⇥b␍⏎··"
    assert token_rows.visible(" 日".encode()[:2]) == "␣e6"
    assert token_rows.visible(b"\x97\xa5") == "97a5"


def test_the_summary_counts_tokens_that_stand_for_text():
    assert token_rows.summary(ABOVE, BELOW) == (
        "2 of 4 tokens of one (50%) and 2 of 4 tokens of two (50%) have a partner with the same bytes."
    )


def test_tokens_with_the_same_bytes_lie_above_each_other():
    figure = token_rows.draw("ab cd½x", ABOVE, BELOW)
    drawn = [text for text in figure.axes[0].texts if text.get_text() in ("ab", "x")]
    assert [text.get_text() for text in drawn] == ["ab", "x", "ab", "x"]
    for first, second in zip(drawn[:2], drawn[2:], strict=True):
        assert first.get_position()[0] == second.get_position()[0]
        assert first.get_color() == second.get_color()
    assert {"␣cd", "½", "␣", "cd½"} <= texts(figure).keys()
    assert len(figure.axes[0].lines) == 2


def test_a_long_text_is_drawn_in_bands_that_cut_no_token():
    text = "word " * 40
    ends = list(range(5, 201, 5))
    one = row("one", ends, range(40))
    figure = token_rows.draw(text, one, one)
    assert [label.get_text() for label in figure.axes[0].texts].count("one") == 6
    assert len(figure.axes[0].lines) == 40
    whole = row("one", [200], [-1])
    assert len(token_rows.draw(text, whole, one).axes[0].texts) == 1 + 40 + 2 + 1  # one band


def test_what_cannot_be_drawn_is_refused(tmp_path):
    nothing = TokenRow(name="one", spans=np.zeros((0, 2), np.int32), partners=np.zeros(0, int))
    with pytest.raises(ValueError, match="text must hold at least one token on both sides, got none. Give some text"):
        token_rows.draw("", nothing, BELOW)
    with pytest.raises(ValueError, match=r"output must end with one of .*, svg.*, got '.*a.doc'"):
        token_rows.save(token_rows.draw("ab cd½x", ABOVE, BELOW), tmp_path / "a.doc")
