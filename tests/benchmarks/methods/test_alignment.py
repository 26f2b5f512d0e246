"""Figures of the alignment benchmark, over two vocabularies that are made here; nothing is downloaded."""

import struct
from pathlib import Path

import numpy as np
import pytest

from benchmarks.methods import alignment, packaged_tokenizers
from benchmarks.methods.alignment import Tokens
from benchmarks.methods.packaged_tokenizers import Encoder
from benchmarks.runner import read
from jaxkd.tokenizers import byte_spans
from tests.data.plain_modules import plain_modules
from tests.tokenizers.tokenizer_families import CORPUS, made


def encoder(name, family):
    tokenizer = made(family)

    def encode(text):
        ids, spans = byte_spans.encode(tokenizer, text)
        return tokenizer.convert_ids_to_tokens(ids), spans

    return Encoder(name=name, encode=encode, end=str(tokenizer.eos_token))


@pytest.fixture(scope="module")
def sides() -> tuple[Tokens, Tokens]:
    texts = [text * repeats for repeats in (1, 2, 4) for text in CORPUS]
    return (
        alignment.tokenize(encoder("student", "SentencePiece BPE"), texts),
        alignment.tokenize(encoder("teacher", "byte-level BPE"), texts),
    )


def test_the_end_is_a_token_like_any_other(sides):
    student, teacher = sides
    for one in (*student.spans, *teacher.spans):
        assert one[-1, 1] == one[-1, 0] + 1 == one[-2, 1] + 1
    assert all(len(strings) == len(spans) for strings, spans in zip(student.strings, student.spans, strict=True))
    assert teacher.strings[0][-1] == teacher.end == "<|end|>"


def test_shares_are_those_of_a_dictionary_and_byte_spans_find_the_most(sides):
    student, teacher = sides
    rows = {row.figure: row.value for row in alignment.shares("code", student, teacher)}
    names = [alignment.figure("code", "teacher", "student", mode) for mode in alignment.MODES]
    assert list(rows) == names
    for name, which in zip(names, ("spans", "words"), strict=False):
        both = zip(getattr(student, which), getattr(teacher, which), strict=True)
        pairs = sum(len(nonempty(ours) & nonempty(theirs)) for ours, theirs in both)
        assert rows[name] == pytest.approx(pairs / sum(map(len, student.spans)))
    assert 0 < rows[names[2]] < rows[names[0]] <= rows[names[1]] < 1


def nonempty(spans):
    return {(start, end) for start, end in spans.tolist() if start < end}


def test_buckets_hold_every_text_once_and_are_at_most_four_programs(sides):
    groups = alignment.buckets(*sides)
    assert len(groups) <= alignment.BUCKETS == 4
    assert sorted(index for group in groups for index in group) == list(range(len(sides[0].spans)))
    longest = [max(len(side.spans[index]) for side in sides for index in group) for group in groups]
    assert longest == sorted(longest)


def test_rows_of_speed_hold_the_bar_to_byte_spans_alone(sides, monkeypatch):
    monkeypatch.setattr(alignment, "_seconds", lambda work: float(len(work())))
    rows = {row.figure.partition(": ")[2]: row for row in alignment.speed(*sides)}
    assert list(rows)[:3] == [alignment.LOOP, "byte spans", "greedy rule on integers"]
    assert str(rows["loop / byte spans"].bar) == ">= 20"
    assert rows["loop / greedy rule on integers"].bar is None
    assert len(rows["loop / byte spans"].samples) == alignment.REPEATS


def test_the_speed_of_byte_spans_is_a_rate_with_a_bar(monkeypatch):
    monkeypatch.setattr(alignment, "_seconds", lambda work: 0.5 * len(work()))
    tokenizer = made("byte-level BPE")
    row = alignment.spans_speed("prose", "student", tokenizer, CORPUS[:2])
    count = sum(len(tokenizer(text)["input_ids"]) for text in CORPUS[:2])
    assert (row.figure, row.unit) == ("prose, student: tokens with byte spans", "tokens/s")
    assert (row.value, len(row.samples), str(row.bar)) == (count, alignment.REPEATS, ">= 50000")


def test_a_rule_that_finds_other_pairs_is_not_timed(sides, monkeypatch):
    monkeypatch.setattr(alignment, "greedy_pairs", lambda *_, **__: [(0, 0)])
    with pytest.raises(ValueError, match="must find the 18 pairs of the loop, got .* for teacher to student"):
        list(alignment.speed(*sides))


def test_tokens_without_strings_have_no_greedy_rule(sides):
    student, teacher = sides
    bare = Tokens(name="bytes", end=None, strings=[], spans=student.spans, words=student.words)
    assert [row.figure.rpartition(": ")[2] for row in alignment.shares("code", bare, teacher)] == [
        "byte spans",
        "without leading space",
    ]


def test_the_corpus_is_code_and_prose(tmp_path):
    with plain_modules(tmp_path):
        texts = alignment.corpus(10)
    assert {kind: len(of_kind) for kind, of_kind in texts.items()} == {"code": 10, "prose": 10}
    assert all(texts["prose"])


def test_merges_are_recovered_from_ranks():
    ranks = {piece: rank for rank, piece in enumerate([b"a", b"b", b"c", b"bc", b"ab", b"abc"])}
    assert packaged_tokenizers._last_merge(b"abc", ranks) == (b"a", b"bc")
    assert packaged_tokenizers._last_merge(b"ab", ranks) == (b"a", b"b")


def test_byte_letters_are_those_of_the_byte_level_alphabet():
    letters = packaged_tokenizers._byte_letters()
    assert len(set(letters.values())) == 256
    assert (letters[ord("a")], letters[ord(" ")], letters[ord("\n")], letters[0xAD]) == ("a", "Ġ", "Ċ", "Ń")


def test_a_sentencepiece_model_is_read(tmp_path):
    def field(number, value):
        return bytes([number << 3 | 2, len(value)]) + value

    piece = field(1, "▁a".encode()) + bytes([2 << 3 | 5]) + struct.pack("<f", -1.5) + bytes([3 << 3, 3])
    plain = field(1, b"b") + bytes([2 << 3 | 5]) + struct.pack("<f", -2.0)
    path = tmp_path / "tokenizer.model"
    path.write_bytes(field(1, piece) + field(1, plain) + field(3, field(2, b"map")) + bytes([5 << 3 | 1]) + bytes(8))
    assert packaged_tokenizers._sentencepiece(path) == ([("▁a", -1.5, 3), ("b", -2.0, 1)], b"map")


def test_packaged_files_are_pinned():
    files = [value for value in vars(packaged_tokenizers).values() if hasattr(value, "wheel_sha256")]
    assert len({file.sha256 for file in files}) == len(files) == 11
    assert all(len(file.sha256) == len(file.wheel_sha256) == 64 for file in files)
    assert np.unique([make.__name__ for pair in alignment.PAIRS for make in pair]).size == 10


def test_the_page_shows_the_kept_result():
    kept = {row.figure: row.value for row in read(Path("benchmarks/results/alignment.json")).rows}
    lines = Path("docs/alignment.md").read_text().splitlines()
    shown = [line for line in lines if " to " in line and line.startswith("| ") and line.count("|") == 8][1:]
    assert len(shown) == len(alignment.PAIRS)
    for line in shown:
        pair, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        figures = [f"{kind}, {pair}: {mode}" for kind in ("code", "prose") for mode in alignment.MODES]
        assert cells == [f"{kept[figure]:.3f}" if figure in kept else "" for figure in figures]
