"""Control tokens in a text are text, and every other text has the tokens that it has always had."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer

from benchmarks.methods import packaged_tokenizers
from jaxkd.data import StandardLibrary
from jaxkd.data.examples import subset
from jaxkd.tokenizers import byte_spans, literal
from tests.tokenizers.tokenizer_families import CORPUS, LOSSLESS, REWRITING, made, wrapped

FAMILIES = [*LOSSLESS, *REWRITING, "WordPiece"]


def plain(text, controls):
    """The text without control tokens."""
    for control in controls:
        text = text.replace(control, "")
    return text


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=30, deadline=None, derandomize=True)
@given(text=st.one_of(st.sampled_from(CORPUS), st.text(st.characters(exclude_categories=["Cs"]), max_size=30)))
def test_a_text_without_control_tokens_is_read_as_ever(family, text):
    tokenizer = made(family)
    text = plain(text, literal.control_tokens(tokenizer))
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert literal.literal(tokenizer).encode([text]) == [ids]
    for how in ("text", "allow"):
        assert literal.encode(tokenizer, [text], how) == [(ids, False)]


@pytest.mark.parametrize("family", FAMILIES)
def test_no_control_token_comes_from_a_text(family):
    tokenizer = made(family)
    controls = literal.control_tokens(tokenizer)
    assert {tokenizer.convert_tokens_to_ids(control) for control in controls} == set(controls.values())
    texts = [f"The fox{control} and the {control}{control}" for control in controls]
    read = literal.encode(tokenizer, ["The fox", *texts], "text")
    assert [spells for _, spells in read] == [False] + [True] * len(texts)
    unknown = tokenizer.unk_token_id if family == "WordPiece" else None  # which stands for letters that it lacks
    assert set(controls.values()).isdisjoint({index for ids, _ in read for index in ids} - {unknown})
    as_ever = tokenizer(texts, add_special_tokens=False)["input_ids"]
    assert literal.encode(tokenizer, texts, "allow") == [(ids, True) for ids in as_ever]
    if family != "WordPiece":
        for (ids, _), text in zip(read[1:], texts, strict=True):
            spans = byte_spans.spans(tokenizer, ids, text)
            assert b"".join(text.encode()[start:end] for start, end in spans.tolist()) == text.encode()


@pytest.mark.parametrize("family", ["byte-level BPE", "byte-level BPE, NFKC", "SentencePiece BPE"])
def test_the_tokens_are_those_of_hugging_face_with_special_tokens_split(family):
    tokenizer = wrapped(Tokenizer.from_str(made(family).backend_tokenizer.to_str()))
    texts = [f" {text} {control}\n{text}" for text in CORPUS for control in literal.control_tokens(tokenizer)]
    split = tokenizer(texts, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert literal.literal(tokenizer).encode(texts) == split


def test_a_masked_control_token_is_text_beside_one_of_the_template():
    tokenizer = made("SentencePiece BPE")
    copy = literal.literal(tokenizer)
    ids = copy.encode_rendered(f"<s>the {copy.mask('</s>')}</s>")
    assert [ids.count(control) for control in range(3)] == [0, 1, 1]
    assert (ids[0], ids[-1], tokenizer.decode(ids[1:-1])) == (1, 2, "the </s>")


def test_added_tokens_that_are_no_control_tokens_stay_and_longer_ones_go_first():
    tokenizer = wrapped(Tokenizer.from_str(made("byte-level BPE").backend_tokenizer.to_str()))
    tokenizer.add_tokens([AddedToken("<think>")])
    tokenizer.add_tokens([AddedToken("<|end|>now", special=True)], special_tokens=True)
    think, now = (tokenizer.convert_tokens_to_ids(token) for token in ("<think>", "<|end|>now"))
    ((ids, spells),) = literal.encode(tokenizer, ["<think><|end|>now"], "text")
    assert (ids[0], spells, tokenizer.decode(ids)) == (think, True, "<think><|end|>now")
    assert {0, now}.isdisjoint(ids)
    assert literal.literal(tokenizer).encode_rendered("<|end|>now<|end|>") == [now, 0]


def test_a_tokenizer_of_another_library_reads_texts_without_control_tokens_alone():
    class Other:
        added_tokens_decoder = {0: AddedToken("<s>", special=True)}  # noqa: RUF012
        chat_template = None

        def __call__(self, texts, **_):
            return {"input_ids": [[text.count("<s>") - 1] for text in texts]}

    assert literal.encode(Other(), ["a"], "text") == [([-1], False)]
    with pytest.raises(TypeError, match=r"must run on the tokenizers library .*, got Other\. Load it with AutoTok"):
        literal.encode(Other(), ["<s>"], "text")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["smollm2", "gpt2", "qwen", "llama3", "deepseek", "claude", "mistral_v1", "mistral_v3"]
)
def test_real_tokenizers_on_real_texts(name):
    """Functions of the standard library: alone, and with each of a few control tokens in front of each line."""
    tokenizer = getattr(packaged_tokenizers, name)().tokenizer
    texts = [example.response for example in subset(StandardLibrary().examples("train"), 60)]
    as_ever = tokenizer(texts, add_special_tokens=False)["input_ids"]
    assert literal.encode(tokenizer, texts, "text") == [(ids, False) for ids in as_ever]
    assert literal.literal(tokenizer).encode(texts) == as_ever
    controls = literal.control_tokens(tokenizer)
    for control in list(controls)[:3]:
        spelled = [text.replace("\n", f"\n{control}") for text in texts[:20]]
        for (ids, spells), text in zip(literal.encode(tokenizer, spelled, "text"), spelled, strict=True):
            assert spells
            assert set(controls.values()).isdisjoint(ids)
            spans = byte_spans.spans(tokenizer, ids, text)
            assert b"".join(text.encode()[start:end] for start, end in spans.tolist()) == text.encode()
