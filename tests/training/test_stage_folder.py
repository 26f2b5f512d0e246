"""The folder of a stage: who may have it, and what its files say when they are damaged."""

import dataclasses
import json

import jax
import pytest

from jaxkd.models import Pretrained
from jaxkd.runtime import configs
from jaxkd.runtime.storage.folder_lock import locked
from jaxkd.study import Evaluate
from jaxkd.training import Evaluation, stage_folder

STAGE = Evaluate(name="teacher", model=Pretrained(path="a"), evaluators=())
OTHER = dataclasses.replace(STAGE, model=Pretrained(path="b"))
WORK = ("rows.jsonl", "checkpoints/[0-9]*")


def claimed(folder, stage):
    return stage_folder.claimed(folder, stage, work=WORK)


def test_a_folder_is_bound_by_its_first_work(tmp_path):
    with pytest.raises(KeyError), claimed(tmp_path, STAGE):
        (tmp_path / "rows.jsonl").touch()
        (tmp_path / "checkpoints").mkdir()
        raise KeyError("an extra that is missing")
    with claimed(tmp_path, OTHER):
        assert configs.load(tmp_path / "config.json") == OTHER
        (tmp_path / "checkpoints/3").mkdir()
    with (
        pytest.raises(ValueError, match=r'another config .* Changed: model.path: "b" -> "a". Undo the change, or name'),
        claimed(tmp_path, STAGE),
    ):
        pytest.fail("a folder of two configs")
    with claimed(tmp_path, dataclasses.replace(OTHER, label="shown")):
        (tmp_path / "checkpoints/3").rmdir()
        (tmp_path / "rows.jsonl").write_text("{}\n")
    with pytest.raises(ValueError, match="belongs to a run with another config"), claimed(tmp_path, STAGE):
        pytest.fail("a folder of two configs")


def test_a_folder_in_use_is_refused_and_its_config_stays(tmp_path):
    with claimed(tmp_path, STAGE):
        message = rf"{tmp_path} is in use by process \d+ on .*\. Wait for it, or name another --workdir"
        with pytest.raises(BlockingIOError, match=message), claimed(tmp_path, OTHER):
            pytest.fail("two runs in one folder")
        assert configs.load(tmp_path / "config.json") == STAGE


def test_the_processes_of_one_run_share_its_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    with locked(tmp_path), claimed(tmp_path, STAGE):
        assert not (tmp_path / "config.json").exists()


def test_a_damaged_config_is_named_once_there_is_work(tmp_path):
    (tmp_path / "config.json").write_text("")
    with claimed(tmp_path, STAGE):
        (tmp_path / "rows.jsonl").write_text("{}\n")
    for content, message in (
        ("", r"config\.json must be JSON, got 0 bytes"),
        ('{"type": "a:B"}', r"config\.json: type"),
    ):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(ValueError, match=message), claimed(tmp_path, STAGE):
            pytest.fail("a config that cannot be compared")


def test_evaluations_come_back_with_numbers_that_json_lacks(tmp_path):
    scored = Evaluation(metrics={"loss": float("inf")}, keys=("a",), per_example={"nats": (float("-inf"),)})
    stage_folder.write_evaluations(tmp_path, {"scored": scored})
    assert stage_folder.read_evaluations(tmp_path) == {"scored": scored}
    text = (tmp_path / "evaluation.json").read_text()
    json.loads(text, parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"evaluation\.json must be JSON, got 0 bytes"),
        ("[]", r"evaluation\.json must hold the evaluations of a stage, .* Remove it and run the same command again"),
        ('{"scored": {}}', r"evaluation\.json must hold the evaluations of a stage"),
    ],
)
def test_damaged_evaluations_are_named(tmp_path, content, message):
    (tmp_path / "evaluation.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        stage_folder.read_evaluations(tmp_path)
