import dataclasses
import gzip
import json
import os
import re
import subprocess
import sys

import pytest

from jaxkd.data import Jsonl
from jaxkd.data.text import alpaca, json_rows


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


@pytest.mark.parametrize(
    ("row", "prompt", "response"),
    [
        # As databricks-dolly-15k, OpenAI's fine-tuning files and GSM8K publish them.
        (
            {"instruction": "When?", "context": "In 1969.", "response": "1969", "category": "qa"},
            "When?\n\nIn 1969.",
            "1969",
        ),
        ({"instruction": "When?", "context": "", "response": "Now."}, "When?", "Now."),
        ({"prompt": "2 + 2?", "completion": "4"}, "2 + 2?", "4"),
        ({"question": "2 + 2?", "answer": "4"}, "2 + 2?", "4"),
        ({"question": "When?", "context": "In 1969.", "answer": ["1969", "in 1969"]}, "When?\n\nIn 1969.", "1969"),
        # Rows that have had a response all along keep it.
        ({"prompt": "2 + 2?", "response": "It is 4.", "answer": "4"}, "2 + 2?", "It is 4."),
        ({"instruction": "Add.", "input": "2 + 2", "context": "Sums", "output": "4"}, "Add.\n\n2 + 2", "4"),
    ],
)
def test_fields_are_read_under_their_usual_names(read, row, prompt, response):
    (example,) = read(row)
    assert (example.messages, example.response) == ((("user", prompt),), response)


def test_context_is_rendered_as_alpaca_renders_input(read):
    (example,) = read({"instruction": "Translate.", "context": "Guten Tag", "response": "Good day."})
    assert example.rendered == alpaca.prompt("Translate.", "Guten Tag")


def test_a_conversation_of_sharegpt_is_one_of_messages(read):
    turns = [("system", "Be brief."), ("human", "2?"), ("gpt", "2."), ("user", "2 + 2?"), ("assistant", "4.")]
    shared, named = read(
        {"conversations": [{"from": role, "value": text} for role, text in turns]},
        {"messages": [{"role": role, "content": text} for role, text in turns]},
    )
    roles = [role for role, _ in shared.messages]
    assert roles == ["system", "user", "assistant", "user"]
    assert (shared.messages, shared.response) == (named.messages, named.response)


def test_fields_that_are_ignored_are_named_once_a_file(read, caplog):
    messages = [{"role": "user", "content": "2?", "name": "Ada"}, {"role": "assistant", "content": "2."}]
    rows = ({"id": 1, "messages": messages}, {"messages": messages, "source": "sums"}, GOOD)
    for _ in range(2):
        read(*rows)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().endswith("rows.jsonl: ignored the fields id, messages[].name, source")


def test_rows_that_are_read_whole_are_not_mentioned(read, caplog):
    read(
        GOOD, {"instruction": "Add.", "input": "", "prompt": "Add.", "output": ["4"]}, {"question": "a", "answer": "b"}
    )
    assert not caplog.records


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
        (
            {"text": "a"},
            r'"messages" or "conversations", or "inst.* or "question" with "answer", got the fields \[\'text\'\]\.',
        ),
        (
            {"instruction": "a"},
            r'"instruction" must come with one of "response", "output", "completion" and "answer", got none\.',
        ),
        ({"instruction": 1, "output": "4"}, r'"instruction" must be a string, got a number\.'),
        ({"instruction": "a", "input": None, "output": "4"}, r'"input" must be a string, got null\.'),
        ({"instruction": "a", "prompt": ["b"], "output": "4"}, r'"prompt" must be a string, got a list\.'),
        (
            {"prompt": "a"},
            r'"prompt" must come with one of "response", "output", "completion" and "answer", got none\.',
        ),
        (GOOD | {"output": "4"}, r"must come with one of .*, got \['response', 'output'\]\."),
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
            {"messages": [{"role": "narrator", "content": "a"}, {"role": "assistant", "content": "b"}]},
            r'"messages"\[0\]\["role"\] must be one of system, user, assistant, tool, human, gpt, got \'narrator\'\.',
        ),
        (
            {"conversations": [{"from": "human", "value": "a"}, {"from": "bard", "value": "b"}]},
            r'"conversations"\[1\]\["from"\] must be one of system, .*, got \'bard\'\.',
        ),
        ({"conversations": []}, r'"conversations" must be a list of at least a prompt and its response, got 0\.'),
        (
            b'{"prompt": "a", "response": "b \\ud83d c"}',
            r'"response" must be Unicode text, got half of a surrogate pair, \'.ud83d\', at character 3\. Replace .*',
        ),
        (b'{"a": ' * 100_000, r"a row must be JSON of a few levels, got objects or lists nested too deeply to read\."),
        (b"[" * 100_000, r"a row must be JSON of a few levels, got objects or lists nested too deeply to read\."),
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


CSV = "import csv, json, sys; [print(json.dumps(row)) for row in csv.DictReader(sys.stdin"


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (
            gzip.compress(json.dumps(GOOD).encode(), mtime=0),
            "a gzip archive. Decompress it, for instance with `gunzip -k 'FILE'`.",
        ),
        (b"\x28\xb5\x2f\xfd...", "a Zstandard archive. Decompress it, for instance with `zstd -dk 'FILE'`."),
        (b"PK\x03\x04...", "a zip archive. Extract it, for instance with `unzip 'FILE'`."),
        (
            b"PAR1...",
            "a Parquet table. Convert it, for instance with `python -c \"import pandas; pandas.read_parquet('FILE')"
            ".to_json('STEM.jsonl', orient='records', lines=True)\"`.",
        ),
        (
            json.dumps(GOOD).encode("utf-16"),
            "UTF-16. Encode it as UTF-8, for instance with `iconv -f UTF-16 -t UTF-8 'FILE'`.",
        ),
        (b"\xfe\xff\0{", "UTF-16. Encode it as UTF-8, for instance with `iconv -f UTF-16 -t UTF-8 'FILE'`."),
        (
            json.dumps([GOOD, GOOD], indent=1).encode(),
            "a JSON array. Write one object a line, for instance with `jq -c '.[]' 'FILE'`.",
        ),
        (b"prompt,response\r\na,b\r\n", f"CSV. Convert it, for instance with `python -c \"{CSV})]\" < 'FILE'`."),
        (
            b"prompt\tresponse\na\tb\n",
            f"TSV. Convert it, for instance with `python -c \"{CSV}, delimiter='\\t')]\" < 'FILE'`.",
        ),
        (
            b'\xef\xbb\xbf"prompt";"response"\na;b\n',
            f"CSV. Convert it, for instance with `python -c \"{CSV}, delimiter=';')]\" < 'FILE'`.",
        ),
    ],
    ids=["gzip", "zstandard", "zip", "parquet", "utf-16", "utf-16-big-endian", "array", "csv", "tsv", "semicolons"],
)
def test_a_file_of_another_format_is_named_with_what_to_do(tmp_path, data, found):
    path = tmp_path / "rows.json"
    path.write_bytes(data)
    message = f"FILE must be JSON lines, got {found}".replace("FILE", str(path)).replace("STEM", str(path)[:-5])
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Jsonl(train=str(path)).examples("train")


def test_the_commands_for_tables_make_rows(tmp_path, read):
    for separator, options in ((",", ""), ("\t", ", delimiter='\\t'"), (";", ", delimiter=';'")):
        table = f'prompt{separator}response\n"2 + 2?{separator}"{separator}4\n'
        run = subprocess.run(
            [sys.executable, "-c", f"{CSV}{options})]"], input=table, capture_output=True, text=True, check=True
        )
        (example,) = read(run.stdout.encode())
        assert (example.messages, example.response) == ((("user", f"2 + 2?{separator}"),), "4")


def test_splits_that_share_rows_are_logged_once(tmp_path, caplog):
    rows = [{"prompt": f"{number}?", "response": str(number), "id": number} for number in range(5)]
    paths = {"train": tmp_path / "a.jsonl", "validation": tmp_path / "b.jsonl", "test": tmp_path / "c.jsonl"}
    shared = [rows[4], {"question": "0?", "answer": "0"}, rows[4]]
    for path, found in zip(paths.values(), (rows[:3], rows[3:4], shared), strict=True):
        path.write_text("".join(json.dumps(row) + "\n" for row in found))
    source = Jsonl(**{split: str(path) for split, path in paths.items()})
    for split in ("validation", "train", "train"):
        source.examples(split)
    (message,) = [record.getMessage() for record in caplog.records if "ignored" not in record.getMessage()]
    assert message == f"train and test share 1 rows, in {paths['train']} and {paths['test']}"
    # What cannot be read is left to its own split.
    paths["test"].write_text("{")
    Jsonl(train=str(paths["train"]), test=str(paths["test"]), validation="none.jsonl").examples("train")


def test_a_file_is_parsed_once_while_its_contents_stay(tmp_path, monkeypatch):
    parsed, parse = [], json_rows._object
    monkeypatch.setattr(json_rows, "_object", lambda line: parsed.append(line) or parse(line))
    paths = {split: tmp_path / f"{split}.jsonl" for split in ("train", "validation", "test")}
    for split, path in paths.items():
        path.write_text(json.dumps({"prompt": "?", "response": split}))
    source = Jsonl(**{split: str(path) for split, path in paths.items()})
    for _ in range(2):
        for split in paths:
            source.examples(split)
    assert len(parsed) == len(paths)
    stat = paths["train"].stat()
    paths["train"].write_text(json.dumps({"prompt": "?", "response": "brain"}))
    os.utime(paths["train"], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert source.examples("train")[0].response == "brain"
    assert len(parsed) == len(paths) + 1


def test_splits_of_one_file_are_logged(tmp_path, caplog):
    path, link = tmp_path / "rows.jsonl", tmp_path / "link.jsonl"
    path.write_text(json.dumps(GOOD))
    link.symlink_to(path)
    assert Jsonl(train=str(path), test=str(link)).examples("test")
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage() == f"train and test are the same file, {path} and {link}: 1 rows are shared"


def test_each_split_has_its_file(tmp_path):
    paths = {}
    for split in ("train", "validation", "test"):
        path = tmp_path / f"{split}.jsonl"
        path.write_text(json.dumps({"prompt": "?", "response": split}))
        paths[split] = str(path)
    source = Jsonl(**paths)
    assert [source.examples(split)[0].response for split in paths] == list(paths)


PROMPTS = [
    {"prompt": "2 + 2?"},
    {"question": "2 + 2?"},
    {"instruction": "Add.", "input": "2 + 2"},
    {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 2?"}]},
    {
        "conversations": [
            {"from": "human", "value": "2?"},
            {"from": "gpt", "value": "2."},
            {"from": "human", "value": "?"},
        ]
    },
]


def test_prompts_alone_are_read_where_responses_are_optional(tmp_path, read):
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*PROMPTS, GOOD]))
    *alone, given = Jsonl(train=str(path), responses="optional").examples("train")
    assert [one.response for one in alone] == [""] * 5
    assert [one.messages[-1] for one in alone] == [("user", "2 + 2?")] * 2 + [
        ("user", "Add.\n\n2 + 2"),
        ("user", "2 + 2?"),
        ("user", "?"),
    ]
    assert [len(one.messages) for one in alone] == [1, 1, 1, 2, 3]
    assert given == dataclasses.replace(read(GOOD)[0], key="prompts.jsonl:6", group="prompts.jsonl:6")
    with pytest.raises(ValueError, match=r"prompts\.jsonl, line 1: .* 1 rows were fine, 5 were not"):
        Jsonl(train=str(path)).examples("train")


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"messages": []}, '"messages" must be a list of at least one message, got 0'),
        ({"messages": [{"role": "assistant", "content": "a"}]}, "at least a prompt and its response, got 1"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "tool", "content": "b"}]}, "assistant's, got 'tool'"),
    ],
)
def test_a_conversation_must_end_with_a_prompt_or_a_response(tmp_path, row, fault):
    path = tmp_path / "prompts.jsonl"
    path.write_text(json.dumps(row))
    with pytest.raises(ValueError, match=fault):
        Jsonl(train=str(path), responses="optional").examples("train")


def test_an_unknown_choice_of_responses_is_refused(tmp_path):
    with pytest.raises(ValueError, match='responses must be "required" or "optional", got \'none\''):
        Jsonl(train=str(tmp_path), responses="none").examples("train")


def test_a_key_of_its_own_names_a_row_wherever_it_stands(read, caplog):
    first, second = read(GOOD | {"key": "sum"}, GOOD)
    assert (first.key, first.group, second.key) == ("sum", "sum", "rows.jsonl:2")
    assert read(GOOD, GOOD, GOOD | {"key": "sum"})[2] == first
    assert not any("ignored" in record.getMessage() for record in caplog.records)
    with pytest.raises(ValueError, match='line 1: "key" must be a string, got a number'):
        read(GOOD | {"key": 3})
    with pytest.raises(
        ValueError, match=r"rows\.jsonl, lines 1, 4: \"key\" must be a name of its own .* 'sum' 2 times"
    ):
        read(GOOD | {"key": "sum"}, b"", GOOD, GOOD | {"key": "sum"})
