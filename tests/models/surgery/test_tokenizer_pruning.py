"""Tokenizers that lose tokens: the same reading of what is kept, and every text still to be read."""

import functools
import itertools
import types

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, models, processors
from transformers import PreTrainedTokenizerFast

from benchmarks.methods import packaged_tokenizers
from jaxkd.data import StandardLibrary
from jaxkd.data.examples import subset
from jaxkd.models.surgery import prune_tokenizer
from jaxkd.tokenizers import literal, loading
from tests.assets import tiny_tokenizer_fields
from tests.tokenizers import tokenizer_families as families

TEXTS = families.CORPUS[:2]
OTHERS = families.CORPUS[2:]
SPLITS = ("train", "test")
FAMILIES = tuple(families.LOSSLESS)


@functools.cache
def pruned(name):
    whole = families.LOSSLESS[name]()
    used = {index for ids in literal.ids(whole, TEXTS) for index in ids}
    return whole, prune_tokenizer(whole, used)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_text_of_kept_tokens_is_read_as_before(name):
    whole, kept = pruned(name)
    assert len(kept.ids) == len(kept.tokenizer) < len(whole)
    words = [word for text in TEXTS for word in text.split(" ")]
    for text in (*TEXTS, *words, "".join(reversed(TEXTS))):
        expected = literal.ids(whole, [text])[0]
        if set(expected) <= set(kept.ids.tolist()):
            assert kept.ids[literal.ids(kept.tokenizer, [text])[0]].tolist() == expected
    for text in TEXTS:
        assert kept.ids[literal.ids(kept.tokenizer, [text])[0]].tolist() == literal.ids(whole, [text])[0]


@pytest.mark.parametrize("name", FAMILIES)
def test_any_other_text_is_spelled_in_more_tokens(name):
    whole, kept = pruned(name)
    longer = 0
    for text in OTHERS:
        ids, before = literal.ids(kept.tokenizer, [text])[0], literal.ids(whole, [text])[0]
        assert kept.tokenizer.decode(ids) == whole.decode(before)
        longer += len(ids) - len(before)
    assert longer > 0


def bpe(merges, *others, **options):
    """BPE over the letters a, b and c, whose texts are words; no merge builds the other pieces."""
    pieces = ["<end>", "a", "b", "c", *dict.fromkeys("".join(pair) for pair in merges), *others]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, **options))
    backend.add_special_tokens(["<end>"])
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>")


def test_the_merges_that_build_a_token_are_kept_and_no_others():
    whole = bpe([("a", "b"), ("b", "c"), ("ab", "c"), ("a", "bc")])
    found = prune_tokenizer(whole, whole("abc")["input_ids"])
    assert found.tokenizer.convert_ids_to_tokens(range(len(found.ids))) == ["<end>", "a", "b", "c", "ab", "abc"]
    assert found.tokenizer.tokenize("abcbc") == ["abc", "b", "c"]
    assert found.ids.tolist() == [0, 1, 2, 3, 4, 6]
    assert str(found) == (
        "Of 7 tokens, 6 are kept: 1 that the text uses, and 5 that build them, stand for a byte or were added to the "
        "vocabulary."
    )


@pytest.mark.parametrize("seed", range(20))
def test_tokens_that_can_be_built_in_many_ways_are_built_as_before(seed):
    """As in SentencePiece's vocabularies, every split of a token is a merge; here their order is random."""
    random = np.random.default_rng(seed)
    words = ["".join(word) for size in (2, 3, 4) for word in itertools.product("abc", repeat=size)]
    splits = [(word[:cut], word[cut:]) for word in words for cut in range(1, len(word))]
    whole = bpe([splits[place] for place in random.permutation(len(splits))])
    texts = ["".join(random.choice(list("abc"), size)) for size in random.integers(1, 12, 6)]
    ids = [whole(text)["input_ids"] for text in texts]
    found = prune_tokenizer(whole, itertools.chain(*ids))
    assert len(found.ids) < len(whole) / 2
    assert [found.ids[found.tokenizer(text)["input_ids"]].tolist() for text in texts] == ids


def test_whole_words_that_no_merge_builds_are_kept():
    """Llama 3 takes a word that is a token as it is, before any merge."""
    whole = bpe([("a", "b"), ("b", "c")], "cab", ignore_merges=True)
    found = prune_tokenizer(whole, whole("cab")["input_ids"])
    assert found.tokenizer.tokenize("cab") == ["cab"]
    assert found.tokenizer.tokenize("bcab") == ["b", "c", "ab"]


def test_what_ends_a_turn_and_what_begins_a_text_keep_their_roles(tmp_path):
    """The tiny tokenizer loses three tokens before "the", whose id moves."""
    whole = loading.from_gguf(tiny_tokenizer_fields(add_bos_token=True))
    found = prune_tokenizer(whole, [whole.convert_tokens_to_ids("the")])
    found.tokenizer.save_pretrained(tmp_path)
    for tokenizer in (found.tokenizer, loading.load(tmp_path)):
        for role in ("bos", "eos", "unk", "pad"):
            index, before = (getattr(one, f"{role}_token_id") for one in (tokenizer, whole))
            assert before is None if index is None else found.ids[index] == before
        assert found.ids[tokenizer("the he")["input_ids"]].tolist() == whole("the he")["input_ids"]
        assert tokenizer.special_tokens_map == whole.special_tokens_map
        messages = [{"role": "user", "content": "the"}]
        rendered = [one.apply_chat_template(messages, tokenize=False) for one in (tokenizer, whole)]
        assert rendered[0] == rendered[1]
        # The words of the template are not in the text that was counted.
        assert tokenizer.decode(tokenizer(rendered[0], add_special_tokens=False)["input_ids"]) == rendered[0]
    assert loading.fingerprint(loading.load(tmp_path)) == loading.fingerprint(found.tokenizer)
    assert literal.control_tokens(found.tokenizer).keys() == literal.control_tokens(whole).keys()


def test_the_ids_of_a_post_processor_move_too():
    whole = bpe([("a", "b")])
    whole.backend_tokenizer.add_special_tokens([AddedToken("<begin>", special=True)])
    template = processors.TemplateProcessing(single="<begin> $0", special_tokens=[("<begin>", len(whole) - 1)])
    whole.backend_tokenizer.post_processor = processors.Sequence([processors.ByteLevel(), template])
    found = prune_tokenizer(whole, whole("b", add_special_tokens=False)["input_ids"])
    assert found.tokenizer("b")["input_ids"] == [2, 1]
    assert found.ids.tolist() == [0, 2, 5]


def test_tokens_without_a_row_are_left_out():
    whole = bpe([("a", "b")])
    whole.backend_tokenizer.add_special_tokens(["<image>"])
    assert "<image>" not in prune_tokenizer(whole, [1], size=5).tokenizer.get_vocab()
    with pytest.raises(ValueError, match="ids must be tokens among the 5 that have a row, got 5, which is none."):
        prune_tokenizer(whole, [1, 5], size=5)


def test_what_is_unknown_stays_as_unlikely():
    """Unigram charges an unknown letter by the worst score of all pieces, one of which no text uses."""
    pieces = [("<unk>", 0.0), ("a", -1.0), ("b", -9.0), ("zz", -30.0), ("c", -2.0)]
    whole = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.Unigram(pieces, unk_id=0)), unk_token="<unk>")
    found = prune_tokenizer(whole, [1])
    assert found.tokenizer.convert_ids_to_tokens(range(3)) == ["<unk>", "a", "zz"]
    assert found.tokenizer("a?a")["input_ids"] == [1, 0, 1]


def test_what_cannot_be_pruned_is_refused():
    whole = bpe([("a", "b")])
    with pytest.raises(ValueError, match="ids must be tokens among the 5 that have a row, got none."):
        prune_tokenizer(whole, [])
    with pytest.raises(ValueError, match="tokenizer must be of BPE or Unigram, got WordPiece. Keep its whole"):
        prune_tokenizer(families.word_piece(), [1])
    with pytest.raises(TypeError, match=r"tokenizer must run on the tokenizers library .* got SimpleNamespace"):
        prune_tokenizer(types.SimpleNamespace(), [1])
    marked = Tokenizer(models.BPE(vocab={"a": 0}, merges=[], end_of_word_suffix="</w>"))
    with pytest.raises(ValueError, match="tokenizer must have no end_of_word_suffix, got '</w>'."):
        prune_tokenizer(PreTrainedTokenizerFast(tokenizer_object=marked), [0])
    whole.backend_tokenizer.post_processor = processors.RobertaProcessing(("<end>", 0), ("<end>", 0))
    with pytest.raises(ValueError, match="post-processor among ByteLevel, .*, got RobertaProcessing."):
        prune_tokenizer(whole, [1])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["smollm2", "llama3", "mistral_v1", "j2"])
def test_real_tokenizers_read_the_library_as_before(name):
    whole = getattr(packaged_tokenizers, name)().tokenizer
    used, others = ([one.response for one in subset(StandardLibrary().examples(split), 300)] for split in SPLITS)
    ids = literal.ids(whole, used)
    found = prune_tokenizer(whole, itertools.chain(*ids))
    assert len(found.ids) < len(whole) / 3
    assert [found.ids[row].tolist() for row in literal.ids(found.tokenizer, used)] == ids
    before, after = (literal.ids(one, others) for one in (whole, found.tokenizer))
    assert found.tokenizer.batch_decode(after) == whole.batch_decode(before)
    assert sum(map(len, before)) < sum(map(len, after)) < 1.2 * sum(map(len, before))
