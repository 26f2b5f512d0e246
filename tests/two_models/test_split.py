import json

import pytest

from jaxkd.two_models.split import split_file


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n\n" for row in rows))
    return path


def rows(numbers):
    return [{"prompt": f"What is {number}?", "response": str(number), "kept": True} for number in numbers]


def test_each_row_is_in_one_split_and_stays_there(tmp_path):
    source = split_file(write(tmp_path / "few.jsonl", rows(range(200))), tmp_path / "few")
    more = split_file(write(tmp_path / "more.jsonl", rows(range(300))), tmp_path / "more")
    found = {split: source.examples(split) for split in ("train", "validation", "test")}
    assert sorted(int(one.response) for examples in found.values() for one in examples) == list(range(200))
    assert len(found["train"]) > 130
    assert 10 <= len(found["test"]) <= 30
    for split, examples in found.items():
        assert {one.response for one in examples} <= {one.response for one in more.examples(split)}
    assert json.loads((tmp_path / "few/test.jsonl").read_text().splitlines()[0])["kept"]


def test_equal_prompts_are_in_one_split(tmp_path):
    twice = [row | {"response": answer} for row in rows(range(50)) for answer in "ab"]
    source = split_file(write(tmp_path / "rows.jsonl", twice), tmp_path / "split")
    assert all(len(source.examples(split)) % 2 == 0 for split in ("train", "validation", "test"))


def test_rows_may_have_keys_of_their_own(tmp_path):
    named = [{"key": f"row {number}"} | row for number, row in enumerate(rows(range(100)))]
    source = split_file(write(tmp_path / "rows.jsonl", named), tmp_path / "split")
    found = [one for split in ("train", "validation", "test") for one in source.examples(split)]
    assert sorted(one.key for one in found) == sorted(row["key"] for row in named)
    assert all(one.key == f"row {one.response}" for one in found)


def test_too_few_rows_are_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"data must have rows for each split, got 1 in .*rows.jsonl and none for .* and"
    ):
        split_file(write(tmp_path / "rows.jsonl", rows([1])), tmp_path / "split")
    assert not (tmp_path / "split").exists()
