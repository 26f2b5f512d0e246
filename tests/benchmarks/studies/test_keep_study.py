"""Stored results of a study."""

import json

import pytest

from benchmarks.studies import keep_study

OWN = {"metrics": {"length": 3.0}, "per_example": {"length": [2.0, 4.00049]}}


@pytest.fixture
def workdir(tmp_path):
    folder = tmp_path / "mine"
    for stage, nats in (("teacher", [1.0, 2.00049]), ("kd/0", [3.0, 4.0]), ("kd/1", [5.0, 6.0])):
        here = folder / stage
        here.mkdir(parents=True)
        scored = {"keys": ["a", "b"], "per_example": {"bytes": [7.0, 8.0], "nats": nats}}
        (here / "evaluation.json").write_text(json.dumps({"bits_per_byte": scored, "samples": {}, "generations": OWN}))
        (here / "environment.json").write_text(json.dumps({"argv": ["secret/path"], "device_kind": "cpu"}))
    trained = {"step": 1, "train/loss": 3.0, "train/at_floor": 0.25, "seconds": 1.0000004}
    rows = [trained, {"step": 2, "validation/bits_per_byte": 2.0000004}]
    (folder / "kd/1/metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "summary.json").write_text(json.dumps({"bits_per_byte": {"teacher": 0.5}}))
    return folder


def test_keeps_the_summary_and_each_answer(workdir, tmp_path, capsys):
    keep_study.main([str(workdir), "--config", "configs/mine.py", "--to", str(tmp_path / "kept.json")])
    text = (tmp_path / "kept.json").read_text()
    assert json.loads(text) == {
        "command": "python -m jaxkd.train --config configs/mine.py",
        "summary": {"bits_per_byte": {"teacher": 0.5}},
        "environment": {"device_kind": "cpu"},
        "test_answers": {"keys": ["a", "b"], "bytes": [7, 8]},
        "nats_of_test_answers": {"kd": {"0": [3.0, 4.0], "1": [5.0, 6.0]}, "teacher": {"all": [1.0, 2.0]}},
        "columns": {
            "generations/length": {"kd": {"0": [2.0, 4.0], "1": [2.0, 4.0]}, "teacher": {"all": [2.0, 4.0]}},
        },
        "curves": {"bits_per_byte": {"kd": {"1": {"steps": [2], "values": [2.0]}}}},
        "training": {
            "seconds": {"kd": {"1": {"steps": [1], "values": [1.0]}}},
            "train/at_floor": {"kd": {"1": {"steps": [1], "values": [0.25]}}},
        },
    }
    assert '"0": [3.0, 4.0]' in text
    assert capsys.readouterr().out == f"{tmp_path / 'kept.json'}\n"


def test_answers_that_only_a_teacher_has_room_for_are_left_out(workdir):
    scored = {"keys": ["a", "long", "b"], "per_example": {"bytes": [7.0, 99.0, 8.0], "nats": [1.0, 50.0, 2.0]}}
    (workdir / "teacher/evaluation.json").write_text(json.dumps({"bits_per_byte": scored}))
    found = keep_study.kept(workdir, "configs/mine.py")
    assert found["test_answers"] == {"keys": ["a", "b"], "bytes": [7, 8]}
    assert found["nats_of_test_answers"]["teacher"] == {"all": [1.0, 2.0]}


@pytest.mark.parametrize("other", [(["a", "c"], [7.0, 8.0]), (["a", "b"], [7.0, 9.0])])
def test_refuses_an_unfinished_study_and_other_answers(workdir, other):
    keys, sizes = other
    scored = {"keys": keys, "per_example": {"bytes": sizes, "nats": [1.0, 1.0]}}
    (workdir / "kd/1/evaluation.json").write_text(json.dumps({"bits_per_byte": scored}))
    with pytest.raises(ValueError, match=r"every row must be measured on the same answers, got others in .*kd/1"):
        keep_study.kept(workdir, "configs/mine.py")
    (workdir / "summary.json").unlink()
    with pytest.raises(FileNotFoundError, match="workdir must hold a summary"):
        keep_study.kept(workdir, "configs/mine.py")


def test_keeps_a_study_of_something_else_than_text(workdir):
    for path in workdir.rglob("evaluation.json"):
        path.write_text(json.dumps({"rollout_error": {"per_example": {"square": [0.000123456, 2.0]}}}))
    found = keep_study.kept(workdir, "configs/mine.py")
    assert "test_answers" not in found
    assert found["columns"]["rollout_error/square"]["kd"]["0"] == [0.0001235, 2.0]
