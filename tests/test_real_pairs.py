"""The configs of papers' pairs: planned from the architectures in them, with no file and no network."""

import dataclasses
from pathlib import Path

import huggingface_hub
import pytest

from jaxkd.mesh import MeshShape
from jaxkd.models.pretrained import Pretrained
from jaxkd.recipes.sft import SFT
from jaxkd.train import load_study, parse

CONFIGS = [path for path in sorted(Path("configs").glob("*.py")) if path.stem != "quickstart"]

each_config = pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(name, **_):
        pytest.fail(f"{name} was asked for on the hub")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)


def models(config):
    """All checkpoints that a config names."""
    if isinstance(config, Pretrained):
        return [config]
    if dataclasses.is_dataclass(config):
        return [model for field in dataclasses.fields(config) for model in models(getattr(config, field.name))]
    return [model for item in config for model in models(item)] if isinstance(config, tuple) else []


@each_config
def test_every_stage_passes_its_checks_without_files(path):
    study = load_study(path)("full")
    for stage in study.stages:
        stage.validate()
    assert all(model.planned for model in models(study))


@each_config
def test_smoke_has_the_shapes_of_full(path):
    full, smoke = (load_study(path)(size) for size in ("full", "smoke"))
    stages = {stage.name: stage for stage in full.stages}
    for stage in smoke.stages:
        assert dataclasses.replace(stages[stage.name], steps=2, optimizer=stage.optimizer) == stage


@each_config
def test_each_method_is_planned_offline(path):
    stages = {type(stage.recipe): stage for stage in load_study(path)("smoke").stages}
    for method, stage in stages.items():
        if method is not SFT:
            plan = dataclasses.replace(stage, mesh=MeshShape(data=1)).plan()
            assert "GiB a device" in plan


def test_a_path_and_a_field_are_options(tmp_path):
    config = "configs/gpt2_from_gpt2_xl.py"
    options = ["--dskd-forward-kl.recipe.teacher.path", str(tmp_path), "--dskd-forward-kl.mesh.data", "4"]
    _, study = parse(["--config", config, "--size", "smoke", *options])
    (stage,) = [stage for stage in study.stages if stage.name == "dskd_forward_kl"]
    assert (stage.recipe.teacher.path, stage.mesh.data) == (str(tmp_path), 4)
    assert not stage.recipe.teacher.planned
