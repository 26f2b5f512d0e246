"""Tokenizers that are trained on some text: what they learn, and that they read any other."""

import pytest

from jaxkd.data import StandardLibrary
from jaxkd.models.surgery import train_tokenizer
from jaxkd.tokenizers.pieces import token_bytes
from tests.data.plain_modules import plain_modules

KINDS = ("byte_level", "sentencepiece")
SENTENCES = ["the lower tower", "a lower flower\n    and the lowest power"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["the lowest flower", "  a\n\tb", "été 🙂 日本", "<s> <unk> <0x0A> <|endoftext|>", ""])
def test_every_text_is_read(kind, text):
    tokenizer = train_tokenizer(SENTENCES, kind=kind, size=300)
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert tokenizer.decode(ids) == text
    assert tokenizer(text)["input_ids"] == tokenizer(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize(("kind", "word"), [("byte_level", "Ġlower"), ("sentencepiece", "▁lower")])
def test_what_is_frequent_becomes_one_token(kind, word):
    tokenizer = train_tokenizer(SENTENCES, kind=kind, size=300)
    assert tokenizer.tokenize("the lower")[-1] == word
    assert len(tokenizer) <= 300
    meanings = token_bytes(tokenizer)
    assert meanings[tokenizer.convert_tokens_to_ids(word)] == b" lower"
    assert {bytes([byte]) for byte in range(256)} <= set(meanings.values())
    assert tokenizer.eos_token_id is not None


def test_rare_characters_are_left_to_the_bytes():
    tokenizer = train_tokenizer(["aaaa bbbb aaab" * 9 + "çðñøþ"], kind="sentencepiece", size=265)
    assert len(tokenizer) == 265
    assert tokenizer.tokenize("þ")[-2:] == ["<0xC3>", "<0xBE>"]


@pytest.mark.parametrize("kind", KINDS)
def test_real_text_takes_fewer_tokens_than_characters(kind, tmp_path):
    with plain_modules(tmp_path):
        texts, others = ([one.response for one in StandardLibrary().examples(split)] for split in ("train", "test"))
    tokenizer = train_tokenizer(texts, kind=kind, size=2048)
    assert len(tokenizer) == 2048
    ids = tokenizer(others)["input_ids"]
    assert tokenizer.batch_decode(ids) == others
    assert sum(map(len, ids)) < sum(map(len, others)) / 2


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        ([], {}, "texts must have a character that is not a space, got none. Train on the text of the models."),
        (["", " \n"], {}, "texts must have a character that is not a space, got none."),
        (SENTENCES, {"size": 257}, "size must be more than 257, the bytes and special tokens, got 257."),
        (SENTENCES, {"size": 259, "kind": "sentencepiece"}, "size must be more than 259, the bytes and special tokens"),
        (SENTENCES, {"kind": "unigram"}, "kind must be one of byte_level, sentencepiece, got 'unigram'."),
    ],
)
def test_nothing_to_learn_is_refused(texts, options, message, unchecked_shapes):
    with pytest.raises(ValueError, match=message):
        train_tokenizer(texts, **({"kind": "byte_level", "size": 300} | options))
