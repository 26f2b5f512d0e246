"""The study that is killed and damaged: how an end is judged."""

import json

import pytest

from benchmarks.faults import damage, kills, runs


@pytest.mark.parametrize(
    ("kind", "left"),
    [("flip", b"01234\xca6789"), ("zero", b"01234\0\0\0\0\0"), ("truncate", b"01234"), ("delete", None)],
)
def test_damage_is_done_to_the_file(tmp_path, kind, left):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    damage.KINDS[kind](path)
    assert (path.read_bytes() if path.exists() else None) == left


@pytest.mark.parametrize(
    ("ended", "value", "text"),
    [
        (runs.Ended(0, ""), 1, "flip: equal"),
        (
            runs.Ended(1, "step 1\ncache must be whole, got {}/x. Remove it.\n"),
            1,
            "flip: cache must be whole, got .../x. ",
        ),
        (runs.Ended(1, "Traceback (most recent call last):\nKeyError: 1"), 0, "flip: TRACEBACK KeyError: 1"),
    ],
)
def test_a_damaged_study_is_equal_or_says_a_line(tmp_path, ended, value, text):
    workdir = tmp_path / "run"
    workdir.mkdir()
    (workdir / "evaluation.json").write_text("{}")
    ended = runs.Ended(ended.status, ended.output.replace("{}", str(tmp_path)))
    row = kills._told("flip", ended, workdir, {"evaluation.json": {}})
    assert row.value == value
    assert row.figure.startswith(text)
    believed = kills._told("flip", runs.Ended(0, ""), workdir, {"evaluation.json": {"a": 1}})
    assert (believed.value, believed.figure) == (0, "flip: BELIEVED")


def test_an_outcome_leaves_out_what_reads_the_clock(tmp_path):
    for name, seconds in (("one", 1.0), ("two", 2.0)):
        folder = tmp_path / name / "kd/0"
        folder.mkdir(parents=True)
        (folder / "metrics.jsonl").write_text(json.dumps({"step": 1, "train/loss": 0.5, "seconds": seconds}) + "\n")
    assert runs.outcome(tmp_path / "one") == runs.outcome(tmp_path / "two")


def test_moments_are_the_same_each_time():
    assert runs.moments(3, 60.0) == runs.moments(4, 60.0)[:3]
    assert all(0.5 <= moment <= 60 for moment in runs.moments(20, 60.0))
