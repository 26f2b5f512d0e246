"""Runs that were kept beside runs of a workdir: the report is that of one study."""

import json
import shutil

import pytest

from benchmarks.studies import join_study, keep_study
from jaxkd import train
from jaxkd.evals import Generations
from jaxkd.sharding import MeshShape
from jaxkd.study import Study
from tests.test_train import write_config


@pytest.fixture
def config(tiny, tmp_path):
    """A model that is measured as it is, and one that is trained at each seed and writes."""
    written = Generations(student=tiny.student, teacher=None, data=tiny.text, count=8, max_new_tokens=4)
    tuned = tiny.train(
        tiny.sft(),
        name="sft",
        label="SFT, 2 steps",
        steps=2,
        evaluate_every=1,
        mesh=MeshShape(data=1),
        evaluators=(tiny.bits_per_byte(), written),
    )
    stages = (tiny.evaluate(), tuned)
    return write_config(Study(name="tiny", title="", description="", stages=stages), tmp_path)


def run(config, workdir, *arguments):
    train.main(["--config", str(config), "--workdir", str(workdir), *arguments])


def test_seeds_of_two_machines_are_one_result(config, tmp_path, capsys):
    kept = {name: tmp_path / f"{name}.json" for name in ("first", "both", "whole")}
    here, there, whole = (tmp_path / name for name in ("here", "there", "whole"))
    run(config, whole, "--seeds", "0", "1")
    keep_study.main([str(whole), "--config", str(config), "--to", str(kept["whole"])])
    shutil.copytree(whole / "sft/0", here / "sft/0")
    shutil.copytree(whole / "teacher", here / "teacher")
    shutil.copytree(whole / "sft/1", there / "sft/1")
    run(config, here, "--seeds", "0", "--report")
    keep_study.main([str(here), "--config", str(config), "--to", str(kept["first"])])
    capsys.readouterr()
    join_study.main([str(kept["first"]), "--config", str(config), "--workdir", str(there)])
    assert capsys.readouterr().out.splitlines() == [str(there / "teacher"), str(there / "sft/0")]
    run(config, there, "--seeds", "0", "1", "--report")
    keep_study.main([str(there), "--config", str(config), "--to", str(kept["both"])])
    found, expected = (json.loads(kept[name].read_text()) for name in ("both", "whole"))
    for name in ("bits_per_byte_by_seed", "other_metrics_by_seed", "answers"):
        assert found["summary"][name] == expected["summary"][name]
    for name in ("test_answers", "nats_of_test_answers", "columns", "curves", "training"):
        assert found[name] == expected[name]
    assert found["curves"]["bits_per_byte"]["sft"]["1"]["steps"] == [1, 2]
    assert found["training"]["seconds"]["sft"]["0"]["steps"] == [1, 2]
    assert set(found["columns"]) == {"generations/ended", "generations/length"}
    # Nothing is left to add.
    capsys.readouterr()
    join_study.main([str(kept["first"]), "--config", str(config), "--workdir", str(there)])
    assert capsys.readouterr().out == ""
