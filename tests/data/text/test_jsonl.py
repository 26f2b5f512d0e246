import json

import pytest

from jaxkd.data import Jsonl
from jaxkd.data.text import alpaca


@pytest.fixture
def read(tmp_path):
    """Write rows, objects or raw lines, and read them back."""

    def write_and_read(*rows):
        path = tmp_path / "rows.jsonl"
        lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
        path.write_bytes(b"\n".join(lines))
        return Jsonl(train=str(path)).examples("train")

    return write_and_read


GOOD = {"prompt": "2 + 2?", "response": "4"}


def test_a_prompt_becomes_the_message_of_a_user(read):
    (example,) = read(GOOD | {"source": "arithmetic"})
    assert (example.messages, example.response) == ((("user", "2 + 2?"),), "4")
    assert example.key == example.group == "rows.jsonl:1"


@pytest.mark.parametrize("answer", [{"output": "4"}, {"output": ["4", "four"]}, {"response": ["4"]}])
def test_output_is_a_response_and_the_first_reference_is_learnt(read, answer):
    assert read({"prompt": "2 + 2?"} | answer)[0].response == "4"


def test_the_last_message_is_learnt(read):
    turns = [("system", "Be brief."), ("user", "2?"), ("assistant", "2."), ("user", "2 + 2?"), ("assistant", "4.")]
    (example,) = read({"messages": [{"role": role, "content": text} for role, text in turns]})
    assert (example.messages, example.response) == (tuple(turns[:-1]), "4.")


def test_an_instruction_is_a_message_and_is_rendered_as_alpaca_does(read):
    alone, given = read(
        {"instruction": "Name a planet.", "input": "", "output": "Mars."},
        {"instruction": "Translate.", "input": "Guten Tag", "response": ["Good day.", "Hello."]},
    )
    assert (alone.messages, alone.response) == ((("user", "Name a planet."),), "Mars.")
    assert alone.rendered == alpaca.prompt("Name a planet.")
    assert (given.messages, given.response) == ((("user", "Translate.\n\nGuten Tag"),), "Good day.")
    assert given.rendered == alpaca.prompt("Translate.", "Guten Tag")


def test_the_prompt_that_a_row_brings_for_its_instruction_is_the_rendered_one(read):
    (example,) = read({"instruction": "Name a planet.", "prompt": "Q: Name a planet.\nA:", "output": "Mars."})
    assert (example.messages, example.rendered) == ((("user", "Name a planet."),), "Q: Name a planet.\nA:")
    assert read(GOOD)[0].rendered is None


def test_empty_lines_count_as_lines_and_not_as_rows(read):
    assert [example.key for example in read(b"", GOOD, b"  \r", GOOD, b"")] == ["rows.jsonl:2", "rows.jsonl:4"]


def test_text_outside_ascii_and_line_separators_within_strings_are_kept(read):
    text = "½ – 東京\u2028\x0c🗼"
    row = json.dumps({"prompt": "?", "response": text}, ensure_ascii=False).encode()
    assert read(b"\xef\xbb\xbf" + row, row)[1].response == text


def test_an_empty_response_is_left_to_the_tokenization_to_count(read):
    assert read({"prompt": "2 + 2?", "response": ""})[0].response == ""


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (b"{", r"a row must be JSON, got .* at column \d+\."),
        (b'{"prompt": "\xff"}', r"a row must be UTF-8, got invalid start byte at byte 12\."),
        ([1], r"a row must be a JSON object, got a list\."),
        (None, r"a row must be a JSON object, got null\."),
        ({"text": "a"}, r'"messages", or "instruction" with "output", or "prompt" .*, got the fields \[\'text\'\]\.'),
        ({"instruction": "a"}, r'"instruction" must come with one of "response" and "output", got neither\.'),
        ({"instruction": 1, "output": "4"}, r'"instruction" must be a string, got a number\.'),
        ({"instruction": "a", "input": None, "output": "4"}, r'"input" must be a string, got null\.'),
        ({"instruction": "a", "prompt": ["b"], "output": "4"}, r'"prompt" must be a string, got a list\.'),
        ({"prompt": "a"}, r'"prompt" must come with one of "response" and "output", got neither\.'),
        (GOOD | {"output": "4"}, r"one of \"response\" and \"output\", got \['response', 'output'\]\."),
        ({"prompt": 1, "response": "4"}, r'"prompt" must be a string, got a number\.'),
        ({"prompt": "a", "response": None}, r'"response" must be a string, got null\.'),
        ({"prompt": "a", "response": True}, r'"response" must be a string, got a boolean\.'),
        ({"prompt": "a", "output": [["4"]]}, r'"output" must be a string, got a list\.'),
        ({"prompt": "a", "output": []}, r'"output" must hold at least one reference, got an empty list\.'),
        ({"messages": "a"}, r'"messages" must be a list of at least a prompt and its response, got a string\.'),
        ({"messages": [{"role": "assistant", "content": "a"}]}, r"at least a prompt and its response, got 1\."),
        ({"messages": [{"role": "user"}, {}]}, r"must be an object with \"role\" and .* with the fields \['role'\]\."),
        (
            {"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]},
            r"the last of \"messages\" must be the assistant's, got 'user'\.",
        ),
        (
            {"messages": [{"role": "user", "content": ["a"]}, {"role": "assistant", "content": "b"}]},
            r'"messages"\[0\]\["content"\] must be a string, got a list\.',
        ),
    ],
)
def test_a_malformed_row_is_named_with_its_line(read, row, fault):
    with pytest.raises(ValueError, match=rf"rows\.jsonl, line 3: .*{fault} 2 rows were fine, 1 were not\.$"):
        read(GOOD, b"", row, GOOD)


def test_all_malformed_rows_are_counted(read):
    with pytest.raises(
        ValueError, match=r"line 2: .* 1 rows were fine, 8 were not; the others: lines 3, 4, 5, 6, 7, \.\.\.\.$"
    ):
        read(GOOD, *([b"{"] * 8))


def test_files_that_are_not_there_are_named(tmp_path, read):
    source = Jsonl(train=str(tmp_path / "none.jsonl"))
    with pytest.raises(FileNotFoundError, match=r"Jsonl\.train must name an existing file, got .*none\.jsonl"):
        source.examples("train")
    with pytest.raises(ValueError, match=r"Jsonl\.test must name a file, got None\. Give test=PATH\."):
        source.examples("test")
    with pytest.raises(ValueError, match="must hold at least one row, got an empty file"):
        read()


def test_each_split_has_its_file(tmp_path):
    paths = {}
    for split in ("train", "validation", "test"):
        path = tmp_path / f"{split}.jsonl"
        path.write_text(json.dumps({"prompt": "?", "response": split}))
        paths[split] = str(path)
    source = Jsonl(**paths)
    assert [source.examples(split)[0].response for split in paths] == list(paths)
