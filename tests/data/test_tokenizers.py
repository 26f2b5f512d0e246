import types

import pytest

from jaxkd.data import tokenizers
from tests.assets import tiny_tokenizer_fields

STRESS = [
    "The quick brown fox, isn't it?",
    "  \t x \n\n  y   \r\n",
    "def f(x):\n    return {'a': [1, 2.50]}\n",
    "👩‍👩‍👧‍👦 🏳️‍🌈",
    "日本語と漢字、한국어",
    "مرحبا بالعالم ١٢٣",
    "नमस्ते दुनिया",
    "สวัสดีชาวโลก",
    "Привет, мир!",
    "e\u0301 a\u0300",
    "ﬁ ㎏ Ⅷ",
    "∑ x² ≤ ½ ∞",
    "a\u200bb\ufeffc",
    "https://example.org/a?b=1&c=%20#d",
    "  42   007 1234567890",
    r"\frac{1}{2} $\alpha_{3}$",
    "abc אבג 123 def",
]


def build(**changes):
    return tokenizers.from_gguf(tiny_tokenizer_fields(**changes))


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


@pytest.mark.parametrize("pre", tokenizers.PRE_TOKENIZERS)
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
    for each in (tokenizer, tokenizers.load(tmp_path)):
        assert each("h").input_ids[:-1] == ([1] if add_bos else [])
        assert each("h", add_special_tokens=False).input_ids == each("h").input_ids[-1:]


def test_the_context_length_is_kept():
    fields = tiny_tokenizer_fields() | {"general.architecture": "llama", "llama.context_length": 77}
    assert tokenizers.from_gguf(fields).model_max_length == 77


def test_chats_use_the_template_of_the_file():
    text = build().apply_chat_template([{"role": "user", "content": "h"}], tokenize=False, add_generation_prompt=True)
    assert text == "<|im_start|>user\nh<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "llama"}, "tokenizer.ggml.model must be one of gpt2, got 'llama'. Convert the model from its"),
        ({"pre": "llama-bpe"}, "tokenizer.ggml.pre must be one of smollm, qwen2, got 'llama-bpe'"),
        ({"merges": None}, "the metadata must hold tokenizer.ggml.merges, got tokenizer.chat_template, "),
        ({"add_bos_token": True, "bos_token_id": None}, "tokenizer.ggml.bos_token_id must be given where"),
    ],
)
def test_what_is_not_known_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        build(**changes)


def test_load_says_what_a_folder_lacks(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"must hold a tokenizer \(tokenizer.json or .*: empty\. Copy"):
        tokenizers.load(tmp_path)
    (tmp_path / "config.json").touch()
    with pytest.raises(FileNotFoundError, match=r": config.json. Copy the tokenizer's files beside the weights"):
        tokenizers.load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r": no such folder. Copy"):
        tokenizers.load(tmp_path / "absent")


def test_fingerprint_is_that_of_the_saved_copy(tmp_path):
    tokenizer = build()
    tokenizer.save_pretrained(tmp_path)
    assert tokenizers.fingerprint(tokenizers.load(tmp_path)) == tokenizers.fingerprint(tokenizer)


def test_fingerprint_forgets_padding_and_truncation():
    tokenizer = build()
    before = tokenizers.fingerprint(tokenizer)
    tokenizer(["h", "hhh"], padding=True, truncation=True, max_length=2)
    assert tokenizers.fingerprint(tokenizer) == before


def test_fingerprint_sees_every_difference():
    variants = [build(), build(pre="qwen2"), build(add_bos_token=True), build(eos_token_id=0)]
    variants.append(build(merges=["Ġ Ġ", "Ġ Â", "Â ½", "t he", "h e"]))
    variants.append(build())
    variants[-1].chat_template = "{{ messages }}"
    assert len({tokenizers.fingerprint(each) for each in variants}) == len(variants)


def test_fingerprint_needs_the_tokenizers_library():
    with pytest.raises(TypeError, match=r"must run on the tokenizers library .*got SimpleNamespace. Load it with Auto"):
        tokenizers.fingerprint(types.SimpleNamespace())


def test_smollm2_gives_the_known_ids(smollm2_folder):
    tokenizer = tokenizers.load(smollm2_folder)
    text = "The capital of France is Paris, and the city lies on the river Seine.\n"
    ids = [504, 3575, 282, 4649, 314, 7042, 28, 284, 260, 2240, 5721, 335, 260, 4626, 1268, 462, 30, 198]
    assert tokenizer(text).input_ids == ids
    assert tokenizer.tokenize("  42") == ["ĠĠ", "4", "2"]
    assert tokenizer.tokenize(" ½") == ["Ġ", "Â½"]
    assert [tokenizer.decode(tokenizer(text).input_ids) for text in STRESS] == STRESS
    assert len(tokenizer) == 49_152
    assert tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_start|>", "<|im_end|>"]) == [0, 1, 2]
