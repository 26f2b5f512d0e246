"""Generated tokens as text: whole characters, known tokens, and spans that spell it."""

import pytest

from jaxkd.tokenizers.decoded_text import spelled
from tests.tokenizers.tokenizer_families import byte_level, sentence_piece_bpe

TEXT = "the cat, a na\u00efve \N{SLIGHTLY SMILING FACE}\n  123"
FAMILIES = pytest.mark.parametrize("family", [byte_level, sentence_piece_bpe], ids=lambda family: family.__name__)


def ids_of(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def bytes_of(text, spans):
    return b"".join(text.encode()[start:end] for start, end in spans.tolist())


@FAMILIES
def test_a_text_is_spelled_by_its_own_tokens(family):
    tokenizer = family()
    ids = ids_of(tokenizer, TEXT)
    text, spans = spelled(tokenizer, ids)
    assert (text, len(spans)) == (TEXT, len(ids))
    assert bytes_of(text, spans) == TEXT.encode()


@FAMILIES
def test_half_a_character_and_what_follows_is_left_out(family):
    tokenizer = family()
    emoji = ids_of(tokenizer, "a \N{GOAT}")
    assert len(emoji) > 3
    text, spans = spelled(tokenizer, [*emoji[:-1], *ids_of(tokenizer, "the")])
    assert "\N{REPLACEMENT CHARACTER}" not in text
    assert bytes_of(text, spans) == text.encode()
    assert text.startswith("a")


def test_a_row_without_a_token_spells_nothing():
    tokenizer = byte_level()
    ids = ids_of(tokenizer, "the cat")
    text, spans = spelled(tokenizer, [*ids, 10_000, *ids])
    assert (text, len(spans)) == ("the cat", len(ids))
    assert spelled(tokenizer, [10_000])[0] == spelled(tokenizer, [])[0] == ""


def test_a_control_token_spells_nothing():
    tokenizer = byte_level()
    ids = ids_of(tokenizer, "the")
    text, spans = spelled(tokenizer, [*ids, tokenizer.eos_token_id, *ids])
    assert text == "thethe"
    assert spans[len(ids)].tolist() == [3, 3]
    assert len(spans) == 2 * len(ids) + 1
