"""Vocabularies compared by hand-made tokenizers of each kind, and what their tokens stand for."""

import dataclasses
import types

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from jaxkd.models import Pretrained
from jaxkd.tokenizers import loading, pieces, vocabulary
from tests.assets import tiny_tokenizer_fields

SENTENCE_PIECE = [
    decoders.Replace("▁", " "),
    decoders.ByteFallback(),
    decoders.Fuse(),
    decoders.Strip(content=" ", left=1, right=0),
]


def wrap(model, decoder, special=(), added=(), **roles):
    tokenizer = Tokenizer(model)
    tokenizer.decoder = decoder
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in special])
    tokenizer.add_tokens([AddedToken(text, special=False) for text in added])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **{f"{role}_token": text for role, text in roles.items()}
    )


def ids(pieces):
    return {piece: index for index, piece in enumerate(pieces)}


def byte_level(pieces, **others):
    return wrap(models.BPE(vocab=ids(pieces), merges=[]), decoders.ByteLevel(), **others)


def sentence_piece(pieces, **others):
    model = models.BPE(vocab=ids(pieces), merges=[], byte_fallback=True)
    return wrap(model, decoders.Sequence(SENTENCE_PIECE), **others)


def relate(student, teacher, **sizes):
    sizes = {"student_size": len(student), "teacher_size": len(teacher)} | sizes
    return vocabulary.relate(student, teacher, **sizes)


def pairs(relation):
    return list(zip(relation.student_ids.tolist(), relation.teacher_ids.tolist(), strict=True))


def test_byte_level_pieces_stand_for_bytes():
    """Every byte has a letter in GPT-2's alphabet; text outside it stands for itself, and so does an added token."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    read = pieces.token_bytes(byte_level([*letters, "Ġthe", "Ċ" * 2, "é€"], special=["<é>"]))
    assert {read[index] for index in range(256)} == {bytes([byte]) for byte in range(256)}
    assert [read[index] for index in range(256, 260)] == [b" the", b"\n\n", "é€".encode(), "<é>".encode()]


def test_pieces_of_each_kind_stand_for_the_text_that_they_decode_to():
    spelled = ["▁the", "a▁", "<0x0A>", "<0xE2>", "é"]
    expected = [b" the", b"a ", b"\n", b"\xe2", "é".encode()]
    assert list(pieces.token_bytes(sentence_piece(spelled)).values()) == expected
    unigram = models.Unigram([(piece, 0.0) for piece in spelled], unk_id=4, byte_fallback=True)
    assert list(pieces.token_bytes(wrap(unigram, decoders.Metaspace())).values()) == expected
    words = models.WordPiece(vocab=ids(["the", "##ing", "[UNK]"]), unk_token="[UNK]")
    for decoder in (decoders.WordPiece(), decoders.Sequence([])):
        assert list(pieces.token_bytes(wrap(words, decoder, special=["[UNK]"])).values()) == [
            b" the",
            b"ing",
            b"[UNK]",
        ]
    clip = models.BPE(vocab=ids(["the</w>", "ing"]), merges=[], end_of_word_suffix="</w>")
    assert list(pieces.token_bytes(wrap(clip, decoders.BPEDecoder())).values()) == [b"the ", b"ing"]
    plain = models.WordLevel(vocab=ids(["the"]), unk_token="the")
    assert list(pieces.token_bytes(wrap(plain, decoders.Fuse())).values()) == [b"the"]


def test_the_bytes_of_a_texts_tokens_are_the_text():
    text = "  the 42½ été\n\n<tool>"
    tokenizer = loading.from_gguf(tiny_tokenizer_fields())
    read = pieces.token_bytes(tokenizer)
    assert b"".join(read[index] for index in tokenizer(text).input_ids) == text.encode()


def test_a_vocabulary_is_identical_to_itself():
    tokenizer = loading.from_gguf(tiny_tokenizer_fields())
    relation = relate(tokenizer, tokenizer)
    assert (relation.kind, relation.shared, relation.common_prefix_size) == ("identical", 265, 265)
    np.testing.assert_array_equal(relation.student_ids, np.arange(265))
    np.testing.assert_array_equal(relation.teacher_ids, relation.student_ids)
    assert str(relation) == "Student and teacher have the same 265 tokens under the same ids."


def test_heads_padded_to_other_sizes_share_the_rows_of_the_shorter():
    """Qwen2.5's heads have 151,936 and 152,064 rows for the same 151,665 tokens."""
    tokenizer = byte_level(["a", "b", "c"])
    relation = relate(tokenizer, tokenizer, student_size=4, teacher_size=8)
    assert (relation.kind, relation.shared, relation.common_prefix_size) == ("padded", 3, 4)
    assert pairs(relation) == [(0, 0), (1, 1), (2, 2)]
    assert str(relation) == (
        "Of 3 tokens of the student and 3 of the teacher, 3 are the same under the same ids; their heads, of 4 and 8 "
        "rows, share the first 4."
    )


@pytest.mark.parametrize("size", [5, 8])
def test_a_row_that_is_a_token_on_one_side_only_is_not_shared(size):
    fewer, more = byte_level(["a", "b", "c"]), byte_level(["a", "b", "c"], special=["<think>"])
    for student, teacher in ((fewer, more), (more, fewer)):
        relation = relate(student, teacher, student_size=size, teacher_size=size)
        assert (relation.kind, relation.shared, relation.common_prefix_size) == ("padded", 3, 3)
        assert {relation.student_tokens, relation.teacher_tokens} == {3, 4}


def test_tokens_beyond_a_head_are_left_out():
    """Gemma 3's tokenizer has one token more than its language model has rows."""
    more = byte_level(["a", "b"], special=["<image>"])
    relation = relate(more, byte_level(["a", "b"]), student_size=2)
    assert (relation.kind, relation.student_tokens, relation.shared) == ("identical", 2, 2)


def test_one_spelling_of_a_byte_is_another_kinds_spelling():
    student = byte_level(["Ġthe", "Ċ", "a", "Ã", "Ãī", "Ġzoo"])
    teacher = sentence_piece(["<0x0A>", "<0x61>", "<0xC3>", "a", "▁the", "É"])
    relation = relate(student, teacher)
    assert (relation.kind, relation.shared, relation.common_prefix_size) == ("overlapping", 5, 0)
    assert pairs(relation) == [(0, 4), (1, 0), (2, 3), (3, 2), (4, 5)]
    assert str(relation).endswith("of the teacher, 5 are the same, not all under the same ids.")
    assert sorted((b, a) for a, b in pairs(relation)) == pairs(relate(teacher, student))


def test_a_fallback_byte_is_that_byte_and_a_piece_of_one_letter_that_piece():
    student, teacher = sentence_piece(["<0x61>", "a", "b"]), sentence_piece(["a", "<0x61>", "c"])
    assert pairs(relate(student, teacher)) == [(0, 1), (1, 0)]


def test_special_tokens_are_paired_by_role_and_by_text_and_never_with_text():
    student = byte_level(
        ["a", "<s>"], special=["<|end|>", "<|user|>", "<|begin|>"], eos="<|end|>", bos="<|begin|>", pad="<|end|>"
    )
    teacher = byte_level(["b", "a"], special=["<s>", "</s>", "<|user|>", "<pad>"], eos="</s>", bos="<s>", pad="<pad>")
    assert pairs(relate(student, teacher)) == [(0, 1), (2, 3), (3, 4), (4, 2)]


def test_the_end_of_an_answer_goes_with_the_end_of_an_answer_even_if_its_text_means_another_token():
    special = ["<|endoftext|>", "<|im_end|>"]
    student = byte_level(["a", "b"], special=special, eos="<|endoftext|>")
    teacher = byte_level(["b", "a"], special=special, eos="<|im_end|>")
    assert (2, 3) in pairs(relate(student, teacher))
    assert relate(student, byte_level(["a", "b"], special=special, eos="<|im_end|>")).kind == "identical"


def test_special_or_not_an_added_token_is_known_by_its_text():
    student, teacher = byte_level(["a"], special=["<think>"]), byte_level(["a"], added=["<think>"])
    assert relate(student, teacher).kind == "identical"


def test_added_spaces_are_text():
    student, teacher = byte_level(["a"], added=["  "]), byte_level(["b", "ĠĠ"])
    assert pairs(relate(student, teacher)) == [(1, 1)]


def test_renamed_special_tokens_at_their_old_ids_are_the_same_by_role():
    student = byte_level(["a"], special=["</s>"], eos="</s>")
    teacher = byte_level(["a"], special=["<|end|>"], eos="<|end|>")
    assert relate(student, teacher).kind == "identical"


@pytest.mark.parametrize("teacher", [["b", "a"], ["a", "x", "b"], ["a", "c"]])
def test_other_ids_make_it_an_overlap(teacher):
    assert relate(byte_level(["a", "b"]), byte_level(teacher)).kind == "overlapping"


def test_a_token_in_a_gap_of_the_other_vocabulary_makes_it_an_overlap():
    gap = wrap(models.BPE(vocab={"a": 0, "c": 2}, merges=[]), decoders.ByteLevel())
    relation = relate(gap, byte_level(["a", "b", "c"]), student_size=3)
    assert (relation.kind, relation.shared) == ("overlapping", 2)


def test_nothing_in_common():
    relation = relate(byte_level(["a", "b"]), byte_level(["c"]))
    assert (relation.kind, relation.shared, relation.common_prefix_size) == ("disjoint", 0, 0)
    assert relation.student_ids.shape == relation.teacher_ids.shape == (0,)
    assert str(relation) == "Of 2 tokens of the student and 1 of the teacher, none are the same."


def test_ids_choose_the_same_tokens_on_both_sides():
    student, teacher = byte_level(["Ġthe", "Ċ", "a", "b"]), sentence_piece(["a", "▁the", "x", "<0x0A>"])
    relation = relate(student, teacher)
    ours, theirs = pieces.token_bytes(student), pieces.token_bytes(teacher)
    assert [ours[index] for index in relation.student_ids] == [theirs[index] for index in relation.teacher_ids]


def test_between_reads_both_checkpoints_once(tiny):
    relation = vocabulary.relation(tiny.student, tiny.teacher)
    assert (relation.kind, relation.student_size) == ("identical", 265)
    assert vocabulary.relation(tiny.student, tiny.teacher) is relation


def test_a_plan_compares_the_rows_that_both_heads_have(tiny, tmp_path):
    """Without the files of one; where both are here, those that mean the same are counted, and none is refused."""
    architecture = dataclasses.replace(tiny.teacher.config(), vocab_size=300)
    planned = Pretrained(path=str(tmp_path / "later"), architecture=architecture)
    assert vocabulary.common_prefix_size(tiny.teacher, planned) == 265
    assert vocabulary.common_prefix_size(tiny.foreign, tiny.teacher) == 0
    for check in (vocabulary.require_shared, vocabulary.require_overlap):
        check(tiny.foreign, planned, method="DSKD")
    with pytest.raises(ValueError, match="student and teacher must share one vocabulary in DSKD, got .*foreign and"):
        vocabulary.require_shared(tiny.foreign, tiny.teacher, method="DSKD")


@pytest.mark.slow
def test_smollm2_against_a_smaller_vocabulary_of_another_kind(smollm2_folder):
    smollm2 = Pretrained(path=str(smollm2_folder)).tokenizer()
    assert relate(smollm2, smollm2).kind == "identical"
    assert relate(smollm2, smollm2, teacher_size=49_280).common_prefix_size == 49_152
    pieces = ["▁capital", "▁of", "▁France", "<0x0A>", "▁Paris"]
    relation = relate(smollm2, sentence_piece(pieces, special=["</s>"], eos="</s>"))
    assert (relation.kind, relation.shared) == ("overlapping", 6)
    texts = smollm2.convert_ids_to_tokens(relation.student_ids.tolist())
    assert texts == ["<|im_end|>", "Ċ", "Ġof", "Ġcapital", "ĠFrance", "ĠParis"]


@pytest.mark.parametrize(
    ("decoder", "message"),
    [
        (decoders.CTC(), "the tokenizer's decoder must be made of BPEDecoder, .* got 'CTC': the text of its tokens"),
        (
            decoders.Sequence([decoders.Metaspace(), decoders.CTC()]),
            "must be made of BPEDecoder, .*, WordPiece, got 'CTC'",
        ),
    ],
)
def test_an_unknown_way_of_spelling_is_refused(decoder, message):
    with pytest.raises(ValueError, match=message):
        pieces.token_bytes(wrap(models.BPE(vocab={"a": 0}, merges=[]), decoder))


def test_a_replacement_by_pattern_is_refused():
    from tokenizers import Regex

    with pytest.raises(ValueError, match=r"a Replace of the tokenizer's decoder must replace a String, got {'Regex'"):
        pieces.token_bytes(wrap(models.BPE(vocab={"a": 0}, merges=[]), decoders.Replace(Regex("_+"), " ")))


def test_refuses_sizes_and_tokenizers_that_it_cannot_read():
    tokenizer = byte_level(["a"])
    with pytest.raises(ValueError, match="teacher_size must be at least 1, the vocab_size of a model, got 0"):
        relate(tokenizer, tokenizer, teacher_size=0)
    with pytest.raises(TypeError, match=r"must run on the tokenizers library .*got SimpleNamespace. Load it with Auto"):
        pieces.token_bytes(types.SimpleNamespace())
