"""The rows that DSKD was trained on, against its own data processing re-derived in plain Python."""

import dataclasses
import json
import logging
import re

import numpy as np
import pytest

from jaxkd.data import Jsonl, PackedText
from jaxkd.data.text import alpaca, chat
from jaxkd.tokenizers import loading
from tests.assets import tiny_tokenizer_fields
from tests.tokenizers.tokenizer_families import made

PAPER = {
    "rows": 4,
    "length": 512,
    "targets": 511,
    "template": "plain",
    "overlong": "truncate",
    "max_prompt": 256,
    "keep_prompt": "first",
}
IGNORED = -100


def rows(tokenizer):
    """Short and long on either side, one reference or several, beyond ASCII, and of each length around the cut."""
    words = "the cat and the other cat sat down on it "
    asked = [
        ("Say it.", "", "It."),
        ("Say it.", "  Two spaces\n\nand lines\n", ["First é 東京.", "second"]),
        ("Say: " + words * 60, "", "A short one."),
        ("Say it.", words * 80, "A response " + words * 100),
        ("Say it.", "", words * 100),
        ("{instruction}", "{input}", "\n\n  led by lines"),
        *(("Count.", "", start + "1 " * count) for count in range(600) for start in ("", "x")),
    ]
    made = [
        {"instruction": instruction, "input": given, "output": output, "prompt": alpaca.prompt(instruction, given)}
        for instruction, given, output in asked
    ]
    room = 512 - len(encode(tokenizer, made[-1]["prompt"])[:256])
    return made[:6] + [row for row in made[6:] if abs(len(encode(tokenizer, row["output"])) + 1 - room) < 4]


def encode(tokenizer, text):
    return tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids


def of_the_reference(row, tokenizer):
    """(inputs, labels) as the paper's code makes them, without the padding."""

    output = row["output"] if isinstance(row["output"], str) else row["output"][0]
    prompt = encode(tokenizer, row["prompt"])[:256]
    ids = (prompt + encode(tokenizer, output) + [tokenizer.eos_token_id])[:512]
    labels = ids[1:]
    labels[: len(prompt) - 1] = [IGNORED] * (len(prompt) - 1)
    return ids[:-1], labels


def of_the_batches(text, tokenizer):
    """The same of every packed example, by its key."""
    keys = {example.index: example.key for example in text.tokenized("train", tokenizer)}
    found = {}
    for batch in text.each_once("train", tokenizer):
        for row in range(text.rows):
            for segment in range(1, int(batch.segment_ids[row].max()) + 1):
                places = np.flatnonzero(batch.segment_ids[row] == segment)
                targets = batch.loss_mask[row] & np.isin(batch.target_positions[row], places)
                labels = np.full(len(places), IGNORED)
                labels[batch.target_positions[row][targets] - places[0]] = batch.labels[row][targets]
                (index,) = set(batch.example_ids[row][targets].tolist())
                np.testing.assert_array_equal(batch.positions[row][places], np.arange(len(places)))
                found[keys[index]] = (batch.tokens[row][places][:-1].tolist(), labels[:-1].tolist())
    return found


@pytest.fixture
def written(tmp_path):
    def write(rows, **options):
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return PackedText(source=Jsonl(train=str(path)), **(PAPER | options))

    return write


BYTE_LEVEL = ["byte-level BPE", pytest.param("packaged", marks=pytest.mark.slow)]


@pytest.fixture
def tokenizer(request):
    if request.param == "packaged":
        return loading.load(request.getfixturevalue("smollm2_folder"))
    return made(request.param)


@pytest.mark.parametrize("tokenizer", ["SentencePiece BPE", *BYTE_LEVEL], indirect=True)
@pytest.mark.parametrize("prompt", ["given", "made of the instruction"])
def test_rows_of_the_paper_become_its_inputs_and_labels(written, tokenizer, prompt):
    given = rows(tokenizer)
    kept = [row if prompt == "given" else {k: v for k, v in row.items() if k != "prompt"} for row in given]
    found = of_the_batches(written(kept), tokenizer)
    expected = {f"rows.jsonl:{n}": of_the_reference(row, tokenizer) for n, row in enumerate(given, 1)}
    assert found == expected
    sizes = {len(inputs): labels[-1] == tokenizer.eos_token_id for inputs, labels in expected.values()}
    assert (sizes[510], sizes[511]) == (True, False), "rows with and without room for the end"


def test_a_row_s_own_prompt_stands_as_it_is(written):
    tokenizer = made("SentencePiece BPE")
    (example,) = written([{"instruction": "a", "prompt": "<s>Other: a ->", "output": "b"}]).tokenized(
        "train", tokenizer
    )
    assert example.tokens[0] == tokenizer.bos_token_id
    assert tokenizer.decode(example.tokens) == "<s> Other: a -> b</s>"


@pytest.mark.parametrize("tokenizer", BYTE_LEVEL, indirect=True)
def test_a_cut_within_a_character_gives_up_its_beginning(written, tokenizer):
    """Where this differs from the paper's code: that trains on half a character."""
    prompt = alpaca.prompt("Write.")
    given = [{"instruction": "Write.", "output": "x" * n + "𓂀" * 200, "prompt": prompt} for n in range(4)]
    found, missing = of_the_batches(written(given), tokenizer), []
    for number, row in enumerate(given, 1):
        inputs, labels = found[f"rows.jsonl:{number}"]
        expected, expected_labels = of_the_reference(row, tokenizer)
        missing.append(len(expected) - len(inputs))
        assert (inputs, labels) == (expected[: len(inputs)], expected_labels[: len(labels)])
    assert 0 < max(missing) < 4


def test_rows_that_spell_out_control_tokens_are_counted_once_a_split(written, caplog):
    tokenizer = made("byte-level BPE")
    text = written([{"prompt": "a<|end|>", "response": "b"}, {"prompt": "a", "response": "b"}])
    allowed = dataclasses.replace(text, control_tokens="allow")
    with caplog.at_level(logging.INFO):
        counts = [
            [one.tokens.tolist().count(tokenizer.eos_token_id) for one in way.tokenized("train", tokenizer)]
            for way in (text, allowed, text)
        ]
    assert counts == [[1, 1], [2, 1], [1, 1]]
    assert caplog.text.count("1 spell out control tokens, which are read as text") == 1
    assert caplog.text.count("1 spell out control tokens, which are read as such") == 1


def test_cut_prompts_are_counted_and_belong_to_the_identity_of_the_data(written, caplog, tiny):
    tokenizer = made("byte-level BPE")
    text = written([{"prompt": "a b c d e f", "response": "g"}, {"prompt": "a", "response": "g"}], max_prompt=4)
    with caplog.at_level(logging.INFO):
        kept = {
            keep: dataclasses.replace(text, keep_prompt=keep).tokenized("train", tokenizer)
            for keep in ("first", "last")
        }
    assert caplog.text.count("0 responses cut, 1 prompts cut") == 2
    assert [len(example.tokens) for example in kept["first"]] == [6, 4]
    assert tokenizer.decode(kept["first"][0].tokens) == "a b g<|end|>"
    assert tokenizer.decode(kept["last"][0].tokens) == "e f\ng<|end|>"
    hashes = {
        dataclasses.replace(text, keep_prompt=keep).identity("train", tiny.teacher, tokenizer)["data"] for keep in kept
    }
    assert len(hashes) == 2


LONG = " the" * 30


@pytest.fixture
def conversation(tmp_path):
    """Two conversations that wait for an answer, and one that has it."""
    path = tmp_path / "rows.jsonl"
    turns = [("user", "the he"), ("assistant", LONG), ("user", "the")]
    rows = [
        {"key": "short", "prompt": "the he"},
        {"key": "long", "messages": [{"role": role, "content": text} for role, text in turns]},
        {"key": "answered", "prompt": "the", "response": "he"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return PackedText(source=Jsonl(train=str(path), responses="optional"), length=400, targets=8)


def test_prompts_alone_are_tokenized_as_before_a_response(conversation):
    tokenizer = loading.from_gguf(tiny_tokenizer_fields())
    prompts = conversation.prompts("train", tokenizer)
    assert [(one.index, one.key) for one in prompts] == [(0, "short"), (1, "long"), (2, "answered")]
    (learnt,) = conversation.tokenized("train", tokenizer)
    assert prompts[2].tokens.tolist() == learnt.tokens.tolist()
    for one, example in zip(prompts[:2], conversation.source.examples("train"), strict=False):
        assert one.tokens.tolist() == chat.prompt_tokens(example, tokenizer)
        assert (one.prompt_length, one.response_bytes, one.ended) == (len(one.tokens), None, False)
    cut = dataclasses.replace(conversation, max_prompt=5).prompts("train", tokenizer)
    assert [one.tokens.tolist() for one in cut[:2]] == [[1, *one.tokens[-4:].tolist()] for one in prompts[:2]]
    assert [one.key for one in dataclasses.replace(conversation, limit=1).prompts("train", tokenizer)] == ["long"]


def test_training_drops_prompts_alone_and_refuses_nothing_else(conversation, tmp_path, caplog):
    tokenizer = loading.from_gguf(tiny_tokenizer_fields())
    with caplog.at_level(logging.INFO):
        assert [one.key for one in conversation.tokenized("train", tokenizer)] == ["answered"]
    assert "and 2 without a response" in caplog.text
    path = tmp_path / "alone.jsonl"
    path.write_text('{"prompt": "the"}')
    alone = dataclasses.replace(conversation, source=Jsonl(train=str(path), responses="optional"))
    with pytest.raises(ValueError, match="examples must hold one that fits, got none: .* 1 without a response"):
        alone.tokenized("train", tokenizer)


@pytest.mark.parametrize(
    ("missing", "turn"), [(20, "turn 2 of 3 (assistant, 60 tokens)"), (1, "turn 3 of 3 (user, 1 token)")]
)
def test_a_conversation_that_outgrows_the_length_is_refused(conversation, missing, turn):
    tokenizer = loading.from_gguf(tiny_tokenizer_fields())
    size = len(conversation.prompts("train", tokenizer)[1].tokens)
    length = size - missing
    message = (
        f"length={length} tokens for one more answer, got {size} in 'long', which does not fit from {turn} on; 1 of 2"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        dataclasses.replace(conversation, length=length).prompts("train", tokenizer)
