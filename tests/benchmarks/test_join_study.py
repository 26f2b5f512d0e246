"""Runs that were kept beside runs of a workdir: the report is that of one study."""

import json
import shutil

import pytest

from benchmarks import join_study, keep_study
from jaxkd import train
from tests.docs.test_preferences import shown


@pytest.fixture
def config(tiny, tiny_preferences, tmp_path):
    path = shown(tiny, tiny_preferences, tmp_path)
    changes = {
        'size == "full"': 'size == "long"',
        "label=name": 'label=name + "!"',
        "steps=steps,": "steps=steps, evaluate_every=1, validation=evaluators[:1],",
    }
    text = path.read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return path


def run(config, workdir, *arguments):
    train.main(["--config", str(config), "--workdir", str(workdir), *arguments])


def test_seeds_of_two_machines_are_one_result(config, tmp_path, capsys):
    kept = {name: tmp_path / f"{name}.json" for name in ("first", "both", "whole")}
    here, there, whole = (tmp_path / name for name in ("here", "there", "whole"))
    run(config, whole, "--seeds", "0", "1")
    keep_study.main([str(whole), "--config", str(config), "--to", str(kept["whole"])])
    for seed, folder in (("0", here), ("1", there)):
        for stage in whole.iterdir():
            if stage.is_dir() and (stage / seed).is_dir():
                shutil.copytree(stage / seed, folder / stage.name / seed)
    run(config, here, "--seeds", "0", "--report")
    keep_study.main([str(here), "--config", str(config), "--to", str(kept["first"])])
    capsys.readouterr()
    join_study.main([str(kept["first"]), "--config", str(config), "--workdir", str(there)])
    added = capsys.readouterr().out.splitlines()
    assert added == [str(there / stage / "0") for stage in ("sft", "dpo", "reverse_dpo", "align_distil")]
    run(config, there, "--seeds", "0", "1", "--report")
    keep_study.main([str(there), "--config", str(config), "--to", str(kept["both"])])
    found, expected = (json.loads(kept[name].read_text()) for name in ("both", "whole"))
    for name in ("bits_per_byte_by_seed", "other_metrics_by_seed", "answers"):
        assert found["summary"][name] == expected["summary"][name]
    for name in ("test_answers", "nats_of_test_answers", "columns", "curves"):
        assert found[name] == expected[name]
    assert found["curves"]["bits_per_byte"]["dpo"]["1"]["steps"] == [1, 2]
    # Nothing is left to add.
    capsys.readouterr()
    join_study.main([str(kept["first"]), "--config", str(config), "--workdir", str(there)])
    assert capsys.readouterr().out == ""
