"""Configs: every shipped one survives JSON, and differences name the fields."""

import dataclasses
import json
from pathlib import Path

import pytest

from jaxkd.evals import ScoringJudge
from jaxkd.models import Pretrained
from jaxkd.runtime import configs
from jaxkd.sharding import MeshShape
from jaxkd.train import load_study
from jaxkd.training import Group, Optimizer

CONFIGS = sorted(Path("configs").glob("*.py"))


@pytest.mark.parametrize("size", ["full", "smoke"])
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_decodes_to_an_equal_object(path, size, tmp_path):
    study = load_study(path)(size)
    configs.save(tmp_path / "config.json", study)
    assert configs.load(tmp_path / "config.json") == study
    assert hash(study) == hash(configs.load(tmp_path / "config.json"))


def test_there_are_configs():
    assert "quickstart" in [path.stem for path in CONFIGS]


def test_differences_name_each_field():
    old = Optimizer(learning_rate=0.1, groups=(Group(name="student", learning_rate=0.2),))
    new = dataclasses.replace(old, clip_norm=None, groups=(dataclasses.replace(old.groups[0], learning_rate=0.3),))
    assert configs.differences(old, new) == ["clip_norm: 1.0 -> null", "groups.0.learning_rate: 0.2 -> 0.3"]
    assert configs.differences(old, old) == []


def test_a_changed_kind_is_one_difference():
    (line,) = configs.differences(Optimizer(groups=()), Optimizer(groups=(Group(name="a", learning_rate=1.0),)))
    assert line.startswith("groups: [] -> ")


def test_refuses_what_would_not_come_back():
    with pytest.raises(TypeError, match="a config must hold dataclasses, tuples, strings, .* got dict"):
        configs.encode({"a": 1})
    with pytest.raises(ValueError, match="type must name a dataclass, as 'module:Class', got 'os:system'"):
        configs.decode({"type": "os:system"})
    for gone in ("jaxkd.sharding:Gone", "jaxkd.gone:Mesh", "jaxkd_config_mine:Recipe"):
        with pytest.raises(ValueError, match=f"that can be imported, .* got '{gone}'. It was moved or renamed"):
            configs.decode({"type": gone})
    written = json.loads(json.dumps(configs.encode(MeshShape()))) | {"pipeline": 2}
    with pytest.raises(
        ValueError, match="jaxkd.sharding:MeshShape has no field pipeline. Its fields are data, fsdp, tensor"
    ):
        configs.decode(written)


def test_numbers_that_json_lacks_come_back(tmp_path):
    config = Optimizer(learning_rate=float("inf"))
    configs.save(tmp_path / "config.json", config)
    json.loads((tmp_path / "config.json").read_text(), parse_constant=pytest.fail)
    assert configs.load(tmp_path / "config.json") == config


@pytest.mark.parametrize(
    ("content", "message"), [("", "must be JSON, got 0 bytes"), ('{"type": "a:B"}', "type must name")]
)
def test_a_file_that_is_no_config_is_named(tmp_path, content, message):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=rf"{tmp_path / 'config.json'}:? {message}"):
        configs.load(tmp_path / "config.json")


def test_a_class_that_was_renamed_is_found_by_its_older_name(tmp_path):
    now = ScoringJudge(model=Pretrained(path=str(tmp_path)), template="plain")
    older = configs.encode(now) | {"type": "jaxkd.evals:LikelihoodJudge"}
    assert configs.decode(older) == now
    assert configs.encode(now)["type"] == "jaxkd.evals:ScoringJudge"
