"""The recipe and the config of the guide, copied from its page and run."""

import dataclasses
import importlib.util
import json
import shutil
import sys

import jax
import numpy as np
import pytest

from jaxkd import train
from jaxkd.distillation import forward
from jaxkd.models import Pretrained
from jaxkd.runtime import configs
from jaxkd.study import runs
from tests.docs.pages import on_the_tiny_model, shown_file
from tests.tiny_runs import loss_and_gradients

PAGE = "docs/add_a_method.md"
MODULE = "jaxkd.recipes.cosine_kd"

hiddens = jax.jit(forward.hiddens, static_argnums=0)


@pytest.fixture(scope="module")
def cosine_kd(tmp_path_factory):
    """The class of the page, importable where the page says that its file goes."""
    path = tmp_path_factory.mktemp("recipes") / "cosine_kd.py"
    path.write_text(shown_file(PAGE, "jaxkd/recipes/cosine_kd.py"))
    spec = importlib.util.spec_from_file_location(MODULE, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE] = module
    spec.loader.exec_module(module)
    yield module.CosineKD
    del sys.modules[MODULE]


@pytest.fixture
def recipe(cosine_kd, tiny):
    return cosine_kd(student=tiny.student, teacher=tiny.teacher, data=tiny.text, kd_rate=0.25, scale=2.0)


def test_the_loss_is_the_formula(recipe, tiny_batch):
    value, output, _, variables = loss_and_gradients(recipe, tiny_batch)
    metrics = output.metrics
    mask = np.asarray(tiny_batch.loss_mask)
    student, teacher = (
        np.asarray(hiddens(model.config(), params, tiny_batch).values, np.float64)[mask]
        for model, params in (
            (recipe.student, variables.params["student"]),
            (recipe.teacher, variables.frozen["teacher"]),
        )
    )
    cosine = (student * teacher).sum(-1) / np.linalg.norm(student, axis=-1) / np.linalg.norm(teacher, axis=-1)
    np.testing.assert_allclose(metrics["cosine_distance"].value(), (1 - cosine).mean(), rtol=1e-5)
    expected = 0.75 * metrics["cross_entropy"].value() + 0.5 * (1 - cosine).mean()
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_without_the_second_term_it_is_sft(recipe, tiny_batch, tiny):
    value, _, (gradient, _), _ = loss_and_gradients(dataclasses.replace(recipe, kd_rate=0.0), tiny_batch)
    expected, _, (expected_gradient, _), _ = loss_and_gradients(tiny.sft(), tiny_batch)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), gradient, expected_gradient)


def test_gradients_reach_the_student_only_and_are_finite_beside_padding(recipe, tiny_batch):
    assert not tiny_batch.loss_mask.all()
    # A cache leaves zeros where there is no target.
    states = np.repeat(tiny_batch.loss_mask[..., None], 64, axis=-1).astype(np.float32)
    for one in (tiny_batch, dataclasses.replace(tiny_batch, teacher=states)):
        _, _, (to_student, to_teacher), _ = loss_and_gradients(recipe, one)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(to_student))
        assert any((leaf != 0).any() for leaf in jax.tree.leaves(to_student))
        assert all((leaf == 0).all() for leaf in jax.tree.leaves(to_teacher))


def test_what_cannot_work_is_refused(recipe, tiny, tmp_path):
    with pytest.raises(ValueError, match="scale must be above 0, got -1"):
        dataclasses.replace(recipe, scale=-1.0).validate()
    narrow = json.loads((tiny.folder / "config.json").read_text()) | {"hidden_size": 32}
    folder = shutil.copytree(tiny.folder, tmp_path / "narrow")
    (folder / "config.json").write_text(json.dumps(narrow))
    with pytest.raises(ValueError, match="states of one width in CosineKD, got 64 and 32"):
        dataclasses.replace(recipe, teacher=Pretrained(path=str(folder))).validate()


def test_the_config_runs_resumes_and_gives_a_student(cosine_kd, tiny, tmp_path):
    path = tmp_path / "cosine_kd.py"
    path.write_text(on_the_tiny_model(shown_file(PAGE, "configs/cosine_kd.py"), tiny))
    command = ["--config", str(path), "--size", "smoke", "--recipe.kd-rate", "0.8"]
    _, study = train.parse(command)
    assert isinstance(study.stages[0].recipe, cosine_kd)
    assert study.stages[0].recipe.kd_rate == 0.8
    configs.save(tmp_path / "study.json", study)
    assert configs.load(tmp_path / "study.json") == study
    train.main([*command, "--workdir", str(tmp_path / "run")])
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["bits_per_byte"]["student"] > 0
    train.main([*command, "--workdir", str(tmp_path / "run")])
    again = json.loads((tmp_path / "run/summary.json").read_text())
    assert again["bits_per_byte"] == summary["bits_per_byte"]
    assert runs.language_model(tmp_path / "run/kd/0").config.depth == 1
