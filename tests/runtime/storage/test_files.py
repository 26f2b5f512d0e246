"""Small files under the faults of a real file system: a limit that a write runs into stands for a full disk."""

import json
import math
import os

import pytest

from jaxkd.runtime.storage import files
from tests.full_disk import no_file_longer_than


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "usage.json"
    files.write_json(path, {"a": 1})
    with no_file_longer_than(50), pytest.raises(OSError, match=r"the file must be one that .*for: '.*usage\.json'"):
        files.write_json(path, {"a": list(range(1000))})
    assert files.read_json(path) == {"a": 1}
    assert os.listdir(tmp_path) == ["usage.json"]


def test_what_is_written_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(os, "fsync", lambda handle: done.append("sync"))
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda old, new: done.append("rename") or replace(old, new))
    files.write_text(tmp_path / "page.html", "é\n")
    assert done == ["sync", "rename", "sync"]
    assert (tmp_path / "page.html").read_bytes() == "é\n".encode()


@pytest.mark.parametrize("content", [b"", b'{"a": ', bytes(64), b"\xff\xfe\xfa"])
def test_a_file_that_is_not_json_is_named_with_the_fix(tmp_path, content):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    message = (
        rf"config\.json must be JSON, got {len(content)} bytes that are not \(.*Remove it and run the same command"
    )
    with pytest.raises(ValueError, match=message):
        files.read_json(path)


def test_numbers_that_json_lacks_are_strings(tmp_path):
    value = {"loss": math.nan, 3: (math.inf, -math.inf, 1.5), "text": "é"}
    files.write_json(tmp_path / "a.json", value)

    def refuse(constant):
        raise AssertionError(constant)

    found = json.loads((tmp_path / "a.json").read_text(), parse_constant=refuse)
    assert found == {"loss": "nan", "3": ["inf", "-inf", 1.5], "text": "é"}


def test_an_append_that_fails_names_the_file(tmp_path):
    path = tmp_path / "metrics.jsonl"
    files.append(path, "é\n")
    files.append(path, "b\n")
    assert path.read_text() == "é\nb\n"
    with no_file_longer_than(50), pytest.raises(OSError, match=r"the file must be one that .*for: '.*metrics\.jsonl'"):
        files.append(path, "x" * 100)
