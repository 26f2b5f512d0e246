"""The configs of papers' pairs: planned from the architectures in them, with no file and no network."""

import dataclasses
from pathlib import Path

import huggingface_hub
import pytest

from jaxkd.export import Command, export
from jaxkd.models import Pretrained
from jaxkd.recipes.dskdv2_eta import DSKDv2ETA
from jaxkd.recipes.sft import SFT
from jaxkd.sharding import MeshShape
from jaxkd.study import Study, run_study
from jaxkd.train import load_study, parse

CONFIGS = [path for path in sorted(Path("configs").glob("*.py")) if "published." in path.read_text()]

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


def test_there_are_six():
    assert len(CONFIGS) == 6


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


@pytest.mark.parametrize(
    "name",
    [
        "tinyllama_from_llama2",  # DSKD, adapters
        "llama3_2_1b_from_qwen2_5_math",  # DSKDv2ETA, two vocabularies, accumulation
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("gpt2_from_gpt2_xl", "gpt2_from_qwen", "qwen2_5_1_5b_from_7b", "tinyllama_from_mistral")
        ),
    ],
)
def test_the_last_stage_is_planned_offline(name):
    (path,) = (path for path in CONFIGS if path.stem == name)
    *_, stage = load_study(path)("smoke").stages
    assert "GiB a device" in dataclasses.replace(stage, mesh=MeshShape(data=1)).plan().description


@pytest.mark.slow
def test_each_method_between_two_vocabularies_is_planned_offline():
    for stage in load_study(Path("configs/gpt2_from_qwen.py"))("smoke").stages[:-1]:
        if not isinstance(stage.recipe, SFT):
            assert "GiB a device" in dataclasses.replace(stage, mesh=MeshShape(data=1)).plan().description


def test_a_path_and_a_field_are_options(tmp_path):
    config = "configs/gpt2_from_gpt2_xl.py"
    options = ["--dskd-forward-kl.recipe.teacher.path", str(tmp_path), "--dskd-forward-kl.mesh.data", "4"]
    _, study = parse(["--config", config, "--size", "smoke", *options])
    (stage,) = [stage for stage in study.stages if stage.name == "dskd_forward_kl"]
    assert (stage.recipe.teacher.path, stage.mesh.data) == (str(tmp_path), 4)
    assert not stage.recipe.teacher.planned


@pytest.mark.slow
def test_the_commands_of_a_docstring_in_miniature(tiny, tmp_path):
    """The first stage makes the teacher, which is exported to where the others look for it; then the whole study."""
    architecture = tiny.teacher.config()
    later = Pretrained(path=str(tmp_path / "teacher_model"), architecture=architecture)
    nothing = {"validation": (), "evaluators": (), "mesh": MeshShape(data=1)}
    stages = (
        tiny.train(tiny.sft(student=tiny.teacher), name="teacher", label=None, steps=2, **nothing),
        tiny.train(tiny.dskd(teacher=later), name="dskd", steps=2, **nothing),
        tiny.train(tiny.cross(DSKDv2ETA, teacher=later), name="eta", label="eta", steps=2, **nothing),
    )
    study = Study(name="pair", title="", description="", stages=stages)
    for stage in stages:
        stage.validate()
    run_study(study, tmp_path / "study", only="teacher")
    with pytest.raises(ValueError, match="teacher_model', which is none of them and does not exist"):
        run_study(study, tmp_path / "study")
    export(Command(run=tmp_path / "study/teacher/0", to=Path(later.path)))
    run_study(study, tmp_path / "study")
    assert not later.planned
    assert all((tmp_path / "study" / name / "0/evaluation.json").exists() for name in ("dskd", "eta"))
