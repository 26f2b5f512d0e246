import json

import pytest

from jaxkd.runtime.storage.files import append
from jaxkd.runtime.storage.json_lines import whole_rows


def test_rows_are_read_as_they_were_appended(tmp_path):
    path = tmp_path / "rows.jsonl"
    assert list(whole_rows(path)) == []
    rows = [{"text": "a\u2028b\x85c\nd"}, {"text": ""}]
    for row in rows:
        append(path, json.dumps(row, ensure_ascii=False) + "\n")
    assert list(whole_rows(path)) == rows


def test_a_part_of_a_row_is_cut_off(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n{"a": 2')
    assert list(whole_rows(path)) == [{"a": 1}]
    append(path, '{"a": 3}\n')
    assert list(whole_rows(path)) == [{"a": 1}, {"a": 3}]


def test_a_damaged_row_is_named_by_its_line(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n{"a"}\n')
    with pytest.raises(ValueError, match=r"rows.jsonl, line 2: a row must be JSON, got .* Remove the line"):
        list(whole_rows(path))
