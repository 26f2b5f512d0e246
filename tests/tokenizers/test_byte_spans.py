"""Which bytes a token stands for: by hand, and for any text in every family of tokenizers."""

import dataclasses
import json
import re
import unicodedata
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import sphinx
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from benchmarks.methods import packaged_tokenizers
from jaxkd.models import Pretrained
from jaxkd.tokenizers import byte_spans, loading, pieces, token_table
from jaxkd.tokenizers.normalised_text import rewrite
from tests.alignment import tokenizations
from tests.assets import tiny_tokenizer_fields
from tests.tokenizers.tokenizer_families import CORPUS, LOSSLESS, REWRITING, made, wrapped

SNIPPETS = [
    "",
    " ",
    "  two  spaces  ",
    " leading",
    "\n\n\ttabs\r\n",
    "naïve café, e\u0301 and o\u0308",
    "日本語 and 한국어, 각",
    "👩‍👩‍👧🏽 🫠🙂",
    "\u200b\u00a0\u3000\ufeff",
    "\x00\x07\x1b[0m",
    "مرحبا שלום हिन्दी ไทย กำ",
    "▁ a▁b",
    "<|end|> <s></s> [UNK] ##ing",
    "ﬁ ½ ² K Å ﷺ",
    "    def f(x):\n        return x  # 42\n",
]
texts = st.one_of(
    st.lists(st.sampled_from([*SNIPPETS, *CORPUS]), max_size=4).map("".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
)


def stretches(text, spans):
    return [text.encode()[start:end] for start, end in spans.tolist()]


def assert_are_the_text(text, spans):
    assert spans.dtype == np.int32
    assert b"".join(stretches(text, spans)) == text.encode()
    np.testing.assert_array_equal(spans[1:, 0], spans[:-1, 1])


@pytest.mark.parametrize("family", LOSSLESS)
@settings(max_examples=60, deadline=None, derandomize=True)
@example("".join(SNIPPETS))
@example("  ")
@given(text=texts)
def test_one_after_the_other_the_spans_are_the_text(family, text):
    tokenizer = made(family)
    ids, spans = byte_spans.encode(tokenizer, text)
    assert_are_the_text(text, spans)
    read = pieces.token_bytes(tokenizer)
    marked = "▁" in text  # which the tokenizer cannot tell from a space
    for index, stretch in zip(ids, stretches(text, spans), strict=True):
        assert marked or stretch in (read[index], read[index].removeprefix(b" "))


@pytest.mark.parametrize("family", LOSSLESS)
@settings(max_examples=20, deadline=None, derandomize=True)
@example("▁ a▁b  two", 0.1)
@given(text=texts, share=st.floats(0, 1))
def test_the_tokens_of_a_beginning_have_the_same_spans(family, text, share):
    ids, spans = byte_spans.encode(made(family), text)
    kept = round(share * len(ids))
    np.testing.assert_array_equal(byte_spans.spans(made(family), ids[:kept], text), spans[:kept])


@pytest.mark.parametrize("family", REWRITING)
@settings(max_examples=60, deadline=None, derandomize=True)
@example("".join(SNIPPETS))
@example("\u00a0")
@example("\u09af\u09bc \u09df\u09bf \u095b\u093f")
@given(text=texts)
def test_spans_are_those_of_what_was_rewritten(family, text):
    """Where the tokens up to one spell a rewritten beginning of the text, its span ends there."""
    tokenizer = made(family)
    normalize = tokenizer.backend_tokenizer.normalizer.normalize_str
    try:
        ids, spans = byte_spans.encode(tokenizer, text)
    except ValueError as error:
        assert "ids must spell text" in str(error)
        assert rewrite(text, normalize) is None
        return
    assert_are_the_text(text, spans)
    beginnings = {normalize(text[:count]).encode(): len(text[:count].encode()) for count in range(len(text) + 1)}
    read, spelled = pieces.token_bytes(tokenizer), b""
    for index, end in zip(ids, spans[:, 1].tolist(), strict=True):
        spelled += read[index]
        assert beginnings.get(spelled, end) == end


@settings(max_examples=60, deadline=None, derandomize=True)
@example("The  dog's\n\ttail, naïve. 中文也  ")
@given(text=texts)
def test_words_cover_what_is_no_space(text):
    tokenizer = made("WordPiece")
    try:
        ids, spans = byte_spans.encode(tokenizer, text)
    except ValueError as error:
        assert "must" in str(error)
        return
    found = stretches(text, spans)
    assert (spans[:, 0] <= spans[:, 1]).all()
    assert (spans[1:, 0] >= spans[:-1, 1]).all()
    normalize = tokenizer.backend_tokenizer.normalizer.normalize_str
    for piece, stretch in zip(tokenizer.convert_ids_to_tokens(ids), found, strict=True):
        try:
            part = stretch.decode()
        except UnicodeDecodeError:
            continue  # a token that ends inside a rewritten character, such as one of Hangul
        rewritten = part if part == piece else normalize(part)
        assert rewritten.strip() == piece.removeprefix("##")


def test_a_word_takes_the_one_space_before_it():
    text = "The  fox\nÉté (the dog"
    _, spans = byte_spans.encode(made("WordPiece"), text)
    assert b"".join(stretches(text, spans)) == "The fox\nÉté (the dog".replace("\n", "").encode()


@pytest.mark.parametrize("name", tokenizations.STRINGS)
def test_hand_values(name):
    pieces = tokenizations.STRINGS[name]
    vocab = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    backend = Tokenizer(models.BPE(vocab=vocab, merges=[], byte_fallback=name == "llama"))
    backend.decoder = decoders.ByteLevel()
    if name == "llama":
        backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    spans = byte_spans.spans(wrapped(backend), [vocab[piece] for piece in pieces], tokenizations.TEXT)
    expected = tokenizations.spans(name)
    found = byte_spans.with_end(spans, tokenizations.TEXT)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, np.stack([expected.starts, expected.ends], axis=-1))


def test_the_space_that_is_put_in_front_is_in_no_span():
    tokenizer = made("SentencePiece BPE")
    for text in ("fox", " fox", "  fox"):
        _, spans = byte_spans.encode(tokenizer, text)
        assert spans[0, 0] == 0
        assert_are_the_text(text, spans)
    ids, spans = byte_spans.encode(tokenizer, "日")
    assert tokenizer.convert_ids_to_tokens(ids) == ["▁", "<0xE6>", "<0x97>", "<0xA5>"]
    assert spans.tolist() == [[0, 0], [0, 1], [1, 2], [2, 3]]


def test_what_a_template_adds_stands_for_no_text():
    tokenizer = made("SentencePiece BPE")
    ids = [1, *byte_spans.encode(tokenizer, "the fox")[0], 2]
    spans = byte_spans.spans(tokenizer, ids, "the fox")
    assert (spans[0].tolist(), spans[-1].tolist()) == ([0, 0], [7, 7])


def test_a_special_token_that_the_text_spells_out_stands_for_its_text():
    text = "a<|end|> b<|end|>"
    ids, spans = byte_spans.encode(made("byte-level BPE"), text)
    assert ids.count(0) == 2
    assert_are_the_text(text, spans)
    assert stretches(text, spans)[1] == b"<|end|>"
    appended = byte_spans.spans(made("byte-level BPE"), [*ids, 0], text)
    assert stretches(text, appended)[-2:] == [b"<|end|>", b""]


def test_an_added_token_takes_the_spaces_that_it_strips():
    tokenizer = wrapped(Tokenizer.from_str(made("byte-level BPE").backend_tokenizer.to_str()))
    tokenizer.add_tokens([AddedToken("<mask>", lstrip=True, rstrip=True, special=True)], special_tokens=True)
    text = "the <mask>  dog"
    ids, spans = byte_spans.encode(tokenizer, text)
    assert_are_the_text(text, spans)
    assert b" <mask>  " in stretches(text, spans)
    tokenizer.add_tokens([AddedToken("fox", normalized=False)])
    ids, spans = byte_spans.encode(tokenizer, "a fox")
    assert ids[-1] == len(tokenizer) - 1
    assert stretches("a fox", spans)[-1] == b"fox"
    # A token of the vocabulary that is added keeps its id, and its spans follow how it is matched now.
    size = len(tokenizer)
    tokenizer.add_tokens([AddedToken("token", lstrip=True)])
    assert len(tokenizer) == size
    assert stretches("a  token", byte_spans.encode(tokenizer, "a  token")[1])[-1] == b"  token"


def test_a_special_token_survives_a_normaliser_that_would_change_it():
    text = "The [SEP] DOG"
    ids, spans = byte_spans.encode(made("WordPiece"), text)
    assert stretches(text, spans)[ids.index(2)] == b"[SEP]"


def test_bytes_that_are_known_need_no_tokenizer():
    """RWKV's tokens may end within a character, tiktoken's are listed in base64."""
    text = "日本 ok"
    table = {7: text.encode()[:4], 9: text.encode()[4:7], 1: b"ok", 0: b""}
    spans = byte_spans.spans_of_bytes(table, [0, 7, 9, 1, 0], text)
    assert spans.tolist() == [[0, 0], [0, 4], [4, 7], [7, 9], [9, 9]]
    assert byte_spans.spans_of_bytes([], [], "").shape == (0, 2)
    with pytest.raises(
        ValueError, match=r"ids must spell text, got b'ok' as token 1 where the text has b'.* ok'. Give"
    ):
        byte_spans.spans_of_bytes(table, [7, 1], text)


def test_no_text_has_no_spans():
    for family in (*LOSSLESS, *REWRITING, "WordPiece"):
        ids, spans = byte_spans.encode(made(family), "")
        assert (ids, spans.shape, spans.dtype) == ([], (0, 2), np.int32)


def test_the_end_is_the_byte_behind_the_text():
    assert byte_spans.with_end(np.zeros((0, 2), np.int32), "é").tolist() == [[2, 3]]


def test_leading_space_is_cut_off_unless_there_is_nothing_else():
    text = " the\n\n\tdog  \u3000x"
    spans = np.array([[0, 4], [4, 6], [6, 10], [10, 12], [12, 15], [15, 16], [16, 16], [16, 17]], np.int32)
    found = byte_spans.without_leading_space(spans, text)
    assert found.dtype == np.int32
    assert found.tolist() == [[1, 4], [4, 6], [7, 10], [10, 12], [12, 15], [15, 16], [16, 16], [16, 17]]
    again = byte_spans.without_leading_space(found, text)
    np.testing.assert_array_equal(found, again)


def assert_reads_every_text(tokenizer):
    for text in (*SNIPPETS, *CORPUS, "<|im_start|>user\n42<|im_end|>"):
        assert_are_the_text(text, byte_spans.encode(tokenizer, text)[1])


def test_the_tiny_byte_level_tokenizer():
    assert_reads_every_text(loading.from_gguf(tiny_tokenizer_fields()))


@pytest.mark.slow
def test_the_real_byte_level_tokenizer(smollm2_folder):
    real = Pretrained(path=str(smollm2_folder)).tokenizer()
    assert_reads_every_text(real)
    _, spans = byte_spans.encode(real, "Hello 🫠 你")
    assert spans.tolist() == [[0, 5], [5, 8], [8, 9], [9, 10], [10, 11], [11, 13], [13, 14]]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["qwen", "claude"])
def test_no_bengali_text_is_lost_to_a_normaliser(name):
    """Sphinx's translation, of which NFC takes apart three letters that Unicode excludes from composition."""
    tokenizer = getattr(packaged_tokenizers, name)().tokenizer
    catalogue = Path(sphinx.__file__).parent / "locale/bn/LC_MESSAGES/sphinx.po"
    texts = re.findall(r'^msgstr "(.+)"$', catalogue.read_text(encoding="utf-8"), re.MULTILINE)
    rewritten = [text for text in texts if unicodedata.normalize("NFC", text) != text]
    assert len(rewritten) > 9
    for text in rewritten:
        assert_are_the_text(text, byte_spans.encode(tokenizer, text)[1])


def test_a_long_text_takes_no_time_to_speak_of():
    """Each step looks at a token once: a quadratic way would take many minutes."""
    text = "the fox 日本 " * 20_000
    ids, spans = byte_spans.encode(made("SentencePiece BPE"), text)
    assert len(ids) > 150_000
    assert spans[-1, 1] == len(text.encode())


class _Indexed(dict):
    """Vocabulary that can be looked up, and neither iterated over nor copied."""

    def _refused(self, *_):
        raise AssertionError("the whole vocabulary was read for one text")

    __iter__ = keys = values = items = copy = __or__ = __ror__ = _refused


@pytest.mark.parametrize("family", [*LOSSLESS, *REWRITING, "WordPiece"])
def test_the_spans_of_a_text_read_no_more_of_the_tokenizer_than_its_tokens(family, monkeypatch):
    tokenizer, text = made(family), "The quick brown fox. \N{KELVIN SIGN}"
    ids, spans = byte_spans.encode(tokenizer, text)
    table = token_table.first_read(tokenizer)
    indexed = {"pieces": _Indexed(table.pieces), "added": _Indexed(table.added)}
    monkeypatch.setattr(token_table, "first_read", lambda _: dataclasses.replace(table, **indexed))
    for name in ("added_tokens_decoder", "__len__", "get_vocab", "get_added_vocab"):
        monkeypatch.setattr(type(tokenizer), name, property(_Indexed._refused))
    np.testing.assert_array_equal(byte_spans.spans(tokenizer, ids, text), spans)


def test_tokens_of_another_text_are_refused():
    tokenizer = made("byte-level BPE")
    ids, _ = byte_spans.encode(tokenizer, "the fox")
    with pytest.raises(
        ValueError, match=r"ids must spell text, got b' fox' .*token 2 .* the text has ' dog'. Give the v"
    ):
        byte_spans.spans(tokenizer, ids, "the dog")


def test_the_spelling_of_a_byte_in_a_text_is_text():
    _, spans = byte_spans.encode(made("SentencePiece BPE"), "<0x41>A")
    assert_are_the_text("<0x41>A", spans)
    with pytest.raises(ValueError, match="got b'A' as token 1"):  # this kind takes it for the byte
        byte_spans.encode(made("Unigram, always"), "<0x41>A")


def test_an_id_that_is_no_token_is_refused():
    with pytest.raises(ValueError, match=r"ids must be tokens of .*, got 100000, which it does not have. Padding rows"):
        byte_spans.spans(made("byte-level BPE"), [100_000, 5], "a")


def test_an_unknown_token_is_refused():
    tokenizer = made("WordPiece")
    with pytest.raises(
        ValueError, match=r"got b'\[UNK\]' as token 1 of .* where the text has .*'. It has no token for"
    ):
        byte_spans.encode(tokenizer, "the \N{SNOWMAN}")
    backend = Tokenizer(models.BPE(vocab={"<unk>": 0, "a": 1}, merges=[], unk_token="<unk>"))
    with pytest.raises(ValueError, match="It has no token for this: leave the text out, or choose a tokenizer that"):
        byte_spans.encode(wrapped(backend), "aé")


def test_a_token_that_ends_within_what_was_rewritten_ends_within_its_original():
    """By hand: a letter of Bengali and one of Hindi, which NFC takes apart, the vowel behind them, and a fraction."""
    of_byte = {piece: index for index, piece in pieces.token_bytes(made("byte-level BPE, NFC")).items()}

    def ends(text, *spelled, family="byte-level BPE, NFC"):
        ids = [of_byte[bytes([byte])] for byte in "".join(spelled).encode()]
        spans = byte_spans.spans(made(family), ids, text)
        assert_are_the_text(text, spans)
        return [spans[len("".join(spelled[:count]).encode()) - 1, 1] for count in range(1, len(spelled) + 1)]

    assert ends("a\u09dfb", "a", "\u09af", "\u09bc", "b") == [1, 2, 4, 5]
    assert ends("\u095b\u093f", "\u091c", "\u093c", "\u093f") == [1, 3, 6]
    assert ends("½x", "1", "\N{FRACTION SLASH}", "2", "x", family="byte-level BPE, NFKC") == [1, 1, 2, 3]


@pytest.mark.parametrize("text", ["a\x04b", "x = '\x04'", "b \xc0\x04b"])
def test_a_byte_without_a_token_is_named(text):
    """SmolLM2's vocabulary has no token for six control characters, among them 0x04, and drops them."""
    state = json.loads(made("byte-level BPE").backend_tokenizer.to_str())
    del state["model"]["vocab"]["Ą"]  # the letter of byte 4
    tokenizer = wrapped(Tokenizer.from_str(json.dumps(state)))
    with pytest.raises(ValueError, match=r"It has no token for the byte 0x04, and drops it: leave the text out"):
        byte_spans.encode(tokenizer, text)
    assert_are_the_text("a\x05b", byte_spans.encode(tokenizer, "a\x05b")[1])


def test_a_model_may_write_what_its_tokenizer_would_rewrite():
    tokenizer = made("byte-level BPE, NFC")
    of_byte = {piece: index for index, piece in pieces.token_bytes(tokenizer).items()}
    text = "e\u0301"
    spans = byte_spans.spans(tokenizer, [of_byte[bytes([byte])] for byte in text.encode()], text)
    assert spans.tolist() == [[0, 1], [1, 2], [2, 3]]


def test_a_normaliser_that_rewrites_across_pieces_is_refused():
    """Reversing two letters cannot be undone piece by piece, so nothing is guessed."""
    backend = Tokenizer.from_str(made("byte-level BPE").backend_tokenizer.to_str())
    backend.normalizer = normalizers.Replace("the fox", "a dog")
    with pytest.raises(
        ValueError, match=r"where the text has 'the fox'. It rewrites texts \(Replace\). Normalise the te"
    ):
        byte_spans.encode(wrapped(backend), "the fox")
    assert rewrite("the fox", backend.normalizer.normalize_str) is None
    strip = normalizers.Replace("x", "")
    assert rewrite("a b", lambda text: strip.normalize_str(text)) is None


def test_tokens_of_another_text_are_refused_behind_a_normaliser_too():
    tokenizer = made("byte-level BPE, lower case")
    ids, _ = byte_spans.encode(tokenizer, "THE FOX")
    with pytest.raises(ValueError, match=r"got b' fox' .* the text has ' dog'. It rewrites texts \(Lowercase\)"):
        byte_spans.spans(tokenizer, ids, "THE DOG")


def test_a_tokenizer_of_another_library_is_refused():
    class Other:
        added_tokens_decoder: ClassVar = {}

    with pytest.raises(TypeError, match="must run on the tokenizers library"):
        byte_spans.spans(Other(), [0], "a")


def test_a_rewritten_text_knows_where_it_came_from():
    """By hand: a composed letter, a ligature, a deleted character and spaces that become one."""

    def normalize(text):
        text = unicodedata.normalize("NFKC", text).replace("\u00ad", "")
        return " ".join(text.split(" ")) if "  " not in text else text.replace("  ", " ")

    found = rewrite("e\u0301ﬁ\u00adb  c", normalize)
    assert found is not None
    assert found.text == "éfib c".encode()
    #                                é: 2 bytes from 3, f, i from a ligature of 3, b behind 2 deleted, space from 2, c
    assert found.starts.tolist() == [0, 1, 3, 4, 8, 9, 11, 12]
    assert found.ends.tolist() == [0, 1, 3, 4, 6, 9, 11, 12]


def test_line_ends_that_become_spaces_are_told_apart():
    """As AI21's J2 does it, whose SentencePiece model replaces every white space character by a space."""
    found = rewrite("a\n\t b", lambda text: text.replace("\n", " ").replace("\t", " "))
    assert found is not None
    assert found.text == b"a   b"
    assert found.starts.tolist() == found.ends.tolist() == [0, 1, 2, 3, 4, 5]


def test_a_template_is_read_through_the_tokenizer_itself():
    backend = Tokenizer.from_str(made("SentencePiece BPE").backend_tokenizer.to_str())
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    tokenizer = wrapped(backend)
    ids = tokenizer("the fox")["input_ids"]
    assert (ids[0], ids[-1]) == (1, 2)
    assert_are_the_text("the fox", byte_spans.spans(tokenizer, ids, "the fox"))


def test_words_of_a_plain_vocabulary():
    backend = Tokenizer(models.WordLevel(vocab={"the": 0, "fox": 1, ",": 2}, unk_token="the"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    text = "the\n\nfox , fox"
    _, spans = byte_spans.encode(wrapped(backend), text)
    assert spans.tolist() == [[0, 3], [5, 8], [9, 10], [11, 14]]
