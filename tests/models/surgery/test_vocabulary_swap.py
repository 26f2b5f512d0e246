import dataclasses

import jax
import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

from jaxkd.models.surgery import RowSources, row_sources, swap_rows
from jaxkd.models.transformer import decoder
from jaxkd.tokenizers import loading
from tests.assets import tiny_tokenizer_fields
from tests.models import tiny

PIECES = ["</s>", "<|tool|>", "the", "▁the", "he", "bath", "½", "<0xC2>", "▁"]


def wrap(model, decoder, special, **others):
    tokenizer = Tokenizer(model)
    tokenizer.decoder = decoder
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in special])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **others)


@pytest.fixture(scope="module")
def byte_level():
    """All bytes, five merges, among them "he" and "the"; `eos` is <|im_end|>."""
    return loading.from_gguf(tiny_tokenizer_fields())


@pytest.fixture(scope="module")
def sentence_piece():
    model = models.BPE(vocab={piece: i for i, piece in enumerate(PIECES)}, merges=[], byte_fallback=True)
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    return wrap(model, decoders.Sequence(steps), PIECES[:2], eos_token="</s>")


@pytest.fixture(scope="module")
def sources(byte_level, sentence_piece):
    return row_sources(byte_level, sentence_piece, old_size=len(byte_level), rows=12)


def spelled(sources, tokenizer):
    return [tokenizer.convert_ids_to_tokens(list(row)) for row in sources.rows]


def test_each_row_says_what_it_is_made_of(sources, byte_level):
    assert spelled(sources, byte_level) == [
        ["<|im_end|>"],  # the same role
        [],  # a special token of no role
        ["the"],
        ["Ġ", "the"],
        ["he"],
        ["b", "a", "t", "h"],
        ["Â½"],  # the merge of its two bytes
        ["Â"],  # a byte that is no text
        ["Ġ"],
        [],  # rows that are no token
        [],
        [],
    ]
    expected = [True, False, True, False, True, False, True, True, True, False, False, False]
    assert sources.shared.tolist() == expected
    assert str(sources) == ("Of 12 rows, 6 are tokens of the old vocabulary, 2 can be spelled with it, and 4 cannot.")


def test_a_tokenizer_that_writes_other_bytes_is_not_believed(byte_level):
    """The old one lowercases and puts a space in front: its own encoding of "Abc" spells " abc"."""
    vocabulary = {piece: i for i, piece in enumerate(["▁", "a", "b", "c", "A", "▁a", "bc"])}
    old = wrap(models.BPE(vocab=vocabulary, merges=[("b", "c"), ("▁", "a")]), decoders.Metaspace(), [])
    steps = [normalizers.Lowercase(), normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    old.backend_tokenizer.normalizer = normalizers.Sequence(steps)
    assert old("Abc")["input_ids"] == [5, 6]
    new = wrap(models.BPE(vocab={"Abc": 0, "ab": 1, "▁ab": 2, "ax": 3}, merges=[]), decoders.Metaspace(), [])
    assert spelled(row_sources(old, new, old_size=7), old) == [["A", "bc"], ["a", "b"], ["▁a", "b"], []]


def test_tokens_that_the_model_has_no_row_for_spell_nothing(byte_level, sentence_piece):
    the = byte_level.convert_tokens_to_ids("the")
    sources = row_sources(byte_level, sentence_piece, old_size=the)
    assert spelled(sources, byte_level)[2] == ["t", "he"]
    assert sources.old_tokens.max() == the - 1


def test_fewer_rows_than_tokens_are_refused(byte_level, sentence_piece):
    with pytest.raises(ValueError, match=r"rows must be at least 9, the tokens of the new tokenizer, got 8\. Leave it"):
        row_sources(byte_level, sentence_piece, old_size=len(byte_level), rows=8)


@pytest.fixture
def by_hand():
    """Row 0 is old row 4, row 1 is spelled with 0 and 2, row 2 is unknown; old rows from 5 on pad the table."""
    return RowSources(rows=((4,), (0, 2), ()), shared=np.array([True, False, False]), tokens=2, old_tokens=np.arange(5))


@pytest.mark.parametrize("tied", [True, False])
def test_tables_are_made_of_the_old_rows(by_hand, tied):
    config = dataclasses.replace(tiny.LLAMA, tied=tied)
    params = tiny.random_params(config)
    swapped_config, swapped = swap_rows(config, params, by_hand)
    assert swapped_config == dataclasses.replace(config, vocab_size=3, tokens=2)
    for name in ("embedding",) if tied else ("embedding", "head"):
        old = params[name]
        expected = [old[4], (old[0] + old[2]) / 2, old[:5].mean(0)]
        np.testing.assert_allclose(swapped[name], expected, rtol=1e-6, atol=1e-7)
    assert swapped["blocks"] is params["blocks"]
    shapes = jax.tree.map(lambda leaf: leaf.shape, decoder.abstract(swapped_config))
    assert jax.tree.map(lambda leaf: leaf.shape, swapped) == shapes


def test_tokens_that_are_not_shared_can_be_the_mean_or_random(by_hand):
    config, params = tiny.LLAMA, tiny.random_params(tiny.LLAMA)
    old = params["embedding"]
    mean = swap_rows(config, params, by_hand, initialization="mean")[1]["embedding"]
    np.testing.assert_allclose(mean, [old[4], old[:5].mean(0), old[:5].mean(0)], rtol=1e-6, atol=1e-7)
    key = jax.random.key(0)
    drawn = swap_rows(config, params, by_hand, initialization="random", key=key)[1]["embedding"]
    np.testing.assert_array_equal(drawn[0], old[4])
    noise = np.asarray(jax.random.normal(jax.random.fold_in(key, 0), drawn.shape))
    np.testing.assert_allclose(drawn[1:], old[:5].mean(0) + old[:5].std(0) * noise[1:], rtol=1e-5, atol=1e-6)
    assert drawn.dtype == old.dtype


def test_shared_tokens_give_the_logits_that_they_gave(by_hand, byte_level, sentence_piece, sources):
    config = dataclasses.replace(tiny.LLAMA, vocab_size=len(byte_level))
    params = tiny.random_params(config)
    swapped_config, swapped = swap_rows(config, params, sources)
    shared = np.flatnonzero(sources.shared)
    before = np.array([sources.rows[index][0] for index in shared])
    old_tokens, new_tokens = (np.tile(ids, (2, 1)).astype(np.int32) for ids in (before, shared))
    old = tiny.logits(config, params, old_tokens)[..., before]
    new = tiny.logits(swapped_config, swapped, new_tokens)[..., shared]
    np.testing.assert_allclose(new, old, atol=1e-5)


def test_what_cannot_be_done_is_refused(by_hand, unchecked_shapes):
    params = tiny.random_params(tiny.LLAMA)
    with pytest.raises(ValueError, match=r"initialization must be one of pieces, mean, random, got 'zero'\."):
        swap_rows(tiny.LLAMA, params, by_hand, initialization="zero")
    with pytest.raises(ValueError, match="key must be given for a random initialization"):
        swap_rows(tiny.LLAMA, params, by_hand, initialization="random")
