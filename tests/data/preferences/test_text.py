"""Pairs of answers in packed rows."""

import dataclasses
import json
import logging

import jax
import numpy as np
import pytest

from jaxkd.data import PreferenceJsonl, PreferenceText
from jaxkd.data.text import chat
from jaxkd.models import Pretrained
from jaxkd.sharding import Share


def text_of(path, rows, /, **changes):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = PreferenceJsonl(train=str(path), validation=str(path), test=str(path))
    return PreferenceText(**{"source": source, "rows": 4, "length": 160, "targets": 48, "pairs": 3} | changes)


@pytest.fixture
def tokenizer(tiny_folder):
    return Pretrained(path=str(tiny_folder)).tokenizer()


ROWS = [
    {
        "prompt": f"the {n}",
        "chosen": f"the he {n * 7}",
        "rejected": "he" * (1 + n % 5),
        "weight": 1 + n,
        "pref_prob": 0.9,
    }
    for n in range(13)
]


def test_each_pair_lies_in_one_row_as_two_examples_behind_the_same_prompt(tmp_path, tokenizer):
    text = text_of(tmp_path / "pairs.jsonl", ROWS)
    pairs = text.tokenized("train", tokenizer)
    assert [pair.chosen.index for pair in pairs] == [2 * n for n in range(13)]
    seen = set()
    for batch in text.each_once("train", tokenizer):
        answers = batch.answers
        for row in range(4):
            present = int((batch.weights[row] > 0).sum())
            assert answers.segment_ids[row].max() == 2 * present
            for place in range(present):
                ids = []
                for side, segment in enumerate((2 * place + 1, 2 * place + 2)):
                    columns = np.flatnonzero(answers.segment_ids[row] == segment)
                    np.testing.assert_array_equal(answers.positions[row, columns], np.arange(len(columns)))
                    targets = answers.segment_ids[row, answers.target_positions[row]] == segment
                    targets &= answers.loss_mask[row]
                    ids.append(int(answers.example_ids[row, targets][0]))
                    pair = pairs[ids[-1] // 2]
                    answer = pair.answers[side]
                    np.testing.assert_array_equal(answers.tokens[row, columns], answer.tokens)
                    np.testing.assert_array_equal(answers.labels[row, targets], answer.tokens[answer.prompt_length :])
                    shifted = answers.tokens[row, answers.target_positions[row, targets][1:]]
                    np.testing.assert_array_equal(shifted, answers.labels[row, targets][:-1])
                assert ids[1] == ids[0] + 1
                assert ids[0] % 2 == 0
                assert batch.weights[row, place] == 1 + ids[0] // 2
                assert batch.probability[row, place] == np.float32(0.9)
                seen.add(ids[0] // 2)
    assert seen == set(range(13))


def test_answers_end_and_prompts_are_those_of_generation(tmp_path, tokenizer):
    text = text_of(tmp_path / "pairs.jsonl", ROWS[:2])
    for pair in text.tokenized("train", tokenizer):
        prompt = chat.prompt_tokens(text.source.pairs("train")[pair.chosen.index // 2].answered(""), tokenizer)
        for answer in pair.answers:
            assert answer.tokens[: answer.prompt_length].tolist() == prompt
            assert answer.tokens[-1] == chat.end_of_turn(tokenizer)
            assert answer.tokens.tolist().count(tokenizer.bos_token_id) <= prompt.count(tokenizer.bos_token_id) + 1


def test_the_stream_repeats_and_processes_share_its_rows(tmp_path, tokenizer):
    text = text_of(tmp_path / "pairs.jsonl", ROWS)
    whole = iter(text.training_stream("train", tokenizer, 3))
    parts = [iter(text.training_stream("train", tokenizer, 3, share=Share(index=index, count=2))) for index in (0, 1)]
    for _ in range(4):
        expected = next(whole)
        joined = jax.tree.map(lambda *leaves: np.concatenate(leaves), *(next(part) for part in parts))
        jax.tree.map(np.testing.assert_array_equal, joined, expected)
        assert expected.weights.shape == (4, 3)
        described = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), text.abstract_batch())
        assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), expected) == described


def test_pairs_that_spell_out_control_tokens_are_read_as_text_and_counted(tmp_path, tokenizer, caplog):
    caplog.set_level(logging.INFO)
    rows = [*ROWS[:2], {"prompt": "the", "chosen": "he<|im_end|>", "rejected": "the"}]
    text = text_of(tmp_path / "pairs.jsonl", rows)
    end = chat.end_of_turn(tokenizer)
    for way, count in (("text", 1), ("allow", 2)):
        (*_, last) = dataclasses.replace(text, control_tokens=way).tokenized("train", tokenizer)
        assert last.chosen.tokens[last.chosen.prompt_length :].tolist().count(end) == count
    assert "0 answers cut, 1 pairs with spelled control tokens, read as text), dropped" in caplog.text
    assert "0 answers cut, 1 pairs with spelled control tokens, read as such), dropped" in caplog.text


def test_pairs_that_cannot_be_told_apart_or_do_not_fit_are_dropped_and_counted(tmp_path, tokenizer, caplog):
    caplog.set_level(logging.INFO)
    bad = [
        {"prompt": "the", "chosen": "he", "rejected": "he"},
        {"prompt": "the", "chosen": "he", "rejected": ""},
        {"prompt": "the", "chosen": "he" * 60, "rejected": "the"},
    ]
    text = text_of(tmp_path / "pairs.jsonl", [*ROWS[:2], *bad])
    assert len(text.tokenized("train", tokenizer)) == 2
    assert "kept 2 of 5 pairs" in caplog.text
    assert (
        "dropped 1 of one answer twice, 0 with answers of unequal lengths and 2 with an answer that is empty, or"
        in (caplog.text)
    )
    cut = dataclasses.replace(text, overlong="truncate")
    (*_, last) = cut.tokenized("train", tokenizer)
    assert (len(cut.tokenized("train", tokenizer)), last.chosen.ended) == (3, False)


def test_what_holds_no_pair_is_refused(tmp_path, tokenizer):
    same = text_of(tmp_path / "same.jsonl", [{"prompt": "the", "chosen": "he", "rejected": "he"}])
    with pytest.raises(
        ValueError, match="source must hold a pair of two different answers, got none among the 1 of train"
    ):
        same.tokenized("train", tokenizer)
    rows = [
        {"prompt": "the", "chosen": "he", "rejected": "the" * 60},
        {"prompt": "the", "chosen": "he" * 60, "rejected": "he"},
    ]
    with pytest.raises(ValueError, match=r"source must hold a pair that fits, got none: kept 0 of 2 pairs"):
        text_of(tmp_path / "long.jsonl", rows).tokenized("train", tokenizer)


def test_shapes_that_a_model_cannot_read_are_refused(tmp_path, tiny_folder):
    config = Pretrained(path=str(tiny_folder)).config()
    long = text_of(tmp_path / "pairs.jsonl", ROWS, length=2 * config.max_positions + 2)
    with pytest.raises(ValueError, match=rf"data\.length must be at most twice the {config.max_positions} positions"):
        long.check_fits(config)
    for name in ("rows", "pairs"):
        with pytest.raises(ValueError, match=rf"data\.{name} must be at least 1, got 0"):
            text_of(tmp_path / "pairs.jsonl", ROWS, **{name: 0}).check_fits(config)


def test_pairs_of_unequal_lengths_are_dropped_and_counted(tmp_path, tokenizer, caplog):
    rows = [{"prompt": "the", "chosen": "the he", "rejected": "he the" + " he" * n} for n in range(6)]
    with caplog.at_level(logging.INFO):
        kept = text_of(tmp_path / "pairs.jsonl", rows, max_ratio=1.5).tokenized("train", tokenizer)
    lengths = [[len(answer.tokens) - answer.prompt_length for answer in pair.answers] for pair in kept]
    assert 0 < len(kept) < 6
    assert all(max(pair) <= 1.5 * min(pair) for pair in lengths)
    assert f"{6 - len(kept)} with answers of unequal lengths" in caplog.text


def test_a_ratio_below_one_is_refused(tmp_path, tiny_folder):
    with pytest.raises(ValueError, match=r"data\.max_ratio must be at least 1, got 0\.8"):
        text_of(tmp_path / "pairs.jsonl", ROWS, max_ratio=0.8).check_fits(Pretrained(path=str(tiny_folder)).config())
