import functools
import inspect
import itertools
import json
import string

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from jaxkd.tokenizers.gguf import PRE_TOKENIZERS, from_gguf
from jaxkd.tokenizers.loading import load
from tests.assets import tiny_tokenizer_fields
from tests.tokenizers.stress import STRESS


def build(**changes):
    return from_gguf(tiny_tokenizer_fields(**changes))


def test_digits_stand_alone_before_words_are_cut():
    tokenizer = build()
    assert tokenizer.tokenize("  42") == ["ĠĠ", "4", "2"]
    assert tokenizer.tokenize(" ½") == ["Ġ", "Â½"]
    assert tokenizer.tokenize(" the") == ["Ġ", "the"]


def test_qwen2_composes_and_cuts_by_its_own_pattern():
    tokenizer = build(pre="qwen2")
    assert tokenizer("e\u0301").input_ids == tokenizer("é").input_ids
    assert tokenizer.tokenize("  42") == ["Ġ", "Ġ", "4", "2"]
    pieces = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("don't,\n\n  (x) 12")
    assert [text for text, _ in pieces] == ["don", "'t", ",ĊĊ", "Ġ", "Ġ(", "x", ")", "Ġ", "1", "2"]


def test_llama_3_cuts_numbers_into_threes():
    tokenizer = build(pre="llama-bpe")
    pieces = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("I'LL pay  12345\n\n x")
    assert [text for text, _ in pieces] == ["I", "'LL", "Ġpay", "Ġ", "Ġ", "123", "45", "ĊĊ", "Ġx"]


def test_a_word_of_llama_3_s_vocabulary_needs_no_merges():
    fields = tiny_tokenizer_fields(pre="llama-bpe")
    tokens = [*fields["tokenizer.ggml.tokens"], "Ġhello"]
    words = {"tokens": tokens, "token_type": [*fields["tokenizer.ggml.token_type"], 1]}
    assert build(pre="llama-bpe", **words).tokenize(" hello") == ["Ġhello"]
    assert build(pre="qwen2", **words).tokenize(" hello") == ["Ġ", "he", "l", "l", "o"]


def test_gpt_2_keeps_numbers_and_spaces_in_its_words():
    pieces = build(pre="gpt-2").backend_tokenizer.pre_tokenizer.pre_tokenize_str("don't  42 x1")
    assert [text for text, _ in pieces] == ["don", "'t", "Ġ", "Ġ42", "Ġx", "1"]


@pytest.mark.parametrize("pre", PRE_TOKENIZERS)
@pytest.mark.parametrize("text", STRESS)
def test_every_text_comes_back(pre, text):
    tokenizer = build(pre=pre)
    normalizer = tokenizer.backend_tokenizer.normalizer
    expected = text if normalizer is None else normalizer.normalize_str(text)
    assert tokenizer.decode(tokenizer(text).input_ids) == expected


def test_special_tokens_are_whole_and_keep_their_ids():
    tokenizer = build()
    ids = tokenizer("<|im_start|>h<tool><|im_end|>").input_ids
    assert tokenizer.convert_ids_to_tokens(ids) == ["<|im_start|>", "h", "<tool>", "<|im_end|>"]
    assert (ids[0], ids[-1], ids[2]) == (1, 2, len(tokenizer) - 1)
    assert tokenizer.decode(ids, skip_special_tokens=True) == "h<tool>"
    named = tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id, tokenizer.pad_token_id
    assert named == (1, 2, 0, 2)


@pytest.mark.parametrize("add_bos", [False, True])
def test_bos_is_added_where_the_file_says_so(tmp_path, add_bos):
    tokenizer = build(add_bos_token=add_bos)
    tokenizer.save_pretrained(tmp_path)
    for each in (tokenizer, load(tmp_path)):
        assert each("h").input_ids[:-1] == ([1] if add_bos else [])
        assert each("h", add_special_tokens=False).input_ids == each("h").input_ids[-1:]


def test_eos_is_added_where_the_file_says_so():
    assert build(add_eos_token=True)("h").input_ids[1:] == [2]
    assert build(add_eos_token=False)("h").input_ids[1:] == []


@pytest.mark.parametrize(("pre", "added"), [("llama-bpe", [1]), ("qwen2", [])])
def test_llama_3_begins_with_bos_where_the_file_says_nothing(pre, added):
    assert build(pre=pre, add_bos_token=None)("h").input_ids[:-1] == added


def test_the_context_length_is_kept():
    fields = tiny_tokenizer_fields() | {"general.architecture": "llama", "llama.context_length": 77}
    assert from_gguf(fields).model_max_length == 77


def test_chats_use_the_template_of_the_file():
    text = build().apply_chat_template([{"role": "user", "content": "h"}], tokenize=False, add_generation_prompt=True)
    assert text == "<|im_start|>user\nh<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "bert"}, "tokenizer.ggml.model must be one of gpt2, llama, got 'bert'. Convert the model from its"),
        ({"pre": "tekken"}, "tokenizer.ggml.pre must be one of gpt-2, smollm, qwen2, llama-bpe, got 'tekken'"),
        ({"merges": None}, "the metadata must hold tokenizer.ggml.merges, got tokenizer.chat_template, "),
        ({"add_bos_token": True, "bos_token_id": None}, "tokenizer.ggml.bos_token_id must be given where"),
        ({"add_eos_token": True, "eos_token_id": None}, "tokenizer.ggml.eos_token_id must be given where"),
        ({"model": "llama"}, "the metadata must hold tokenizer.ggml.scores, got tokenizer.chat_template, "),
    ],
)
def test_what_is_not_known_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        build(**changes)


SPECIAL = ("<unk>", "<s>", "</s>")
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
PROSE = inspect.getdoc(json) + inspect.getdoc(inspect) + inspect.getsource(string)


@functools.cache
def pieces():
    """A vocabulary as SentencePiece trains it, the best piece first."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=500, show_progress=False)
    tokenizer.train_from_iterator(PROSE.splitlines(), trainer)
    # Its ids are in the order of the merges, after the letters, of which SentencePiece thinks least.
    ranked = sorted(tokenizer.get_vocab(), key=tokenizer.token_to_id)
    return sorted(ranked, key=lambda piece: len(piece) == 1)


def sentencepiece_fields(**changes):
    texts = [*SPECIAL, *BYTES, *pieces()]
    fields = {
        "model": "llama",
        "pre": "default",
        "tokens": texts,
        "scores": [0.0] * (len(SPECIAL) + len(BYTES)) + [-float(rank) for rank in range(len(pieces()))],
        "token_type": [2, 3, 3] + [6] * len(BYTES) + [1] * len(pieces()),
        "bos_token_id": 1,
        "eos_token_id": 2,
        "unknown_token_id": 0,
    }
    return {f"tokenizer.ggml.{name}": value for name, value in (fields | changes).items() if value is not None}


def slow_sentencepiece(text, *, prefix):
    """The pieces of a text by SentencePiece's own rule: join the neighbours that rank best, the leftmost first."""
    rank = {piece: place for place, piece in enumerate(pieces())}
    symbols = list((" " + text if prefix and text else text).replace(" ", "▁"))
    while True:
        pairs = [(rank[a + b], place) for place, (a, b) in enumerate(itertools.pairwise(symbols)) if a + b in rank]
        if not pairs:
            break
        _, place = min(pairs)
        symbols[place : place + 2] = ["".join(symbols[place : place + 2])]
    known = ([symbol] if symbol in rank else [BYTES[byte] for byte in symbol.encode()] for symbol in symbols)
    return list(itertools.chain.from_iterable(known))


@pytest.mark.parametrize("prefix", [True, False])
@pytest.mark.parametrize("text", [*STRESS, PROSE[:2000], "", "a  b", " ", "▁x"])
def test_sentencepiece_joins_by_score_and_falls_back_to_bytes(prefix, text):
    tokenizer = from_gguf(sentencepiece_fields(add_space_prefix=prefix, add_bos_token=False))
    assert tokenizer.tokenize(text) == slow_sentencepiece(text, prefix=prefix)
    # A space that was written out cannot be told from its letter.
    assert tokenizer.decode(tokenizer(text).input_ids) == text.replace("▁", " ")


def test_sentencepiece_begins_with_bos_and_a_space_where_the_file_says_nothing(tmp_path):
    tokenizer = from_gguf(sentencepiece_fields())
    tokenizer.save_pretrained(tmp_path)
    for each in (tokenizer, load(tmp_path)):
        ids = each("the</s>").input_ids
        assert each.convert_ids_to_tokens(ids) == ["<s>", "▁the", "</s>"]
        assert each.decode(ids, skip_special_tokens=True) == "the"


def test_tokens_of_a_user_are_not_joined_from_parts():
    fields = sentencepiece_fields(add_bos_token=False, add_space_prefix=False)
    texts, types = fields["tokenizer.ggml.tokens"], list(fields["tokenizer.ggml.token_type"])
    own = next(text for text in texts if len(text) == 3 and text.isalpha())
    types[texts.index(own)] = 4
    tokenizer = from_gguf(fields | {"tokenizer.ggml.token_type": types})
    assert tokenizer.tokenize(f"x{own}x") == ["x", own, "x"]
    assert all("".join(pair) != own for pair in json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"])
