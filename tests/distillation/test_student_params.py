"""Students of adapters through the whole of a run: training, resuming, evaluating, exporting."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

from jaxkd import evaluate, export, generate, train
from jaxkd.distillation import student_params
from jaxkd.models import LoRA, Pretrained
from jaxkd.models.transformer import lora
from jaxkd.runtime import configs, metric_writer
from jaxkd.runtime.checkpoint import Checkpoints
from jaxkd.sharding import MeshShape
from jaxkd.sharding import mesh as meshes
from jaxkd.study import runs
from jaxkd.training import Group, Optimizer
from jaxkd.training.stage_folder import read_evaluations
from tests.tiny_runs import initial, loss_alone, loss_and_gradient_on, loss_and_gradients, weights_by_numpy

EVERY = LoRA(rank=4, alpha=8.0, targets=(".",))


def recipes(tiny, **changes):
    return (tiny.sft(lora=EVERY, **changes), tiny.logit_kd(lora=EVERY, **changes))


def test_adapters_are_trained_and_the_checkpoint_is_frozen(tiny):
    for recipe in recipes(tiny):
        described, real = recipe.abstract(), initial(recipe)
        assert described.params.keys() == {"lora"}
        assert "student" in described.frozen
        for one, other in ((described.params, real.params), (described.frozen, real.frozen)):
            assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), one) == jax.tree.map(
                lambda leaf: (leaf.shape, leaf.dtype), other
            )
        with weights_by_numpy():
            jax.tree.map(np.testing.assert_array_equal, recipe.load_frozen(), real.frozen)
            jax.tree.map(np.testing.assert_array_equal, recipe.load_base()["student"], tiny.student.load())


def test_step_0_is_the_checkpoint(tiny, tiny_batch):
    for with_adapters, whole in zip(recipes(tiny), (tiny.sft(), tiny.logit_kd()), strict=True):
        np.testing.assert_allclose(
            loss_alone(with_adapters, tiny_batch)[0], loss_alone(whole, tiny_batch)[0], rtol=1e-6
        )


def test_without_adapters_nothing_is_frozen(tiny):
    config = tiny.student.config()
    with weights_by_numpy():
        variables = student_params.init(config, tiny.student, jax.random.key(0))
    assert (variables.params.keys(), variables.frozen) == ({"student"}, {})
    assert student_params.load_frozen(config, tiny.student) == {}
    assert student_params.student(variables) is variables.params["student"]


@pytest.mark.parametrize("sizes", [(2, 2, 2), pytest.param((1, 1, 8), marks=pytest.mark.slow)])
def test_eight_devices_equal_one(tiny, tiny_batch, sizes):
    """With adapters that are not 0."""
    recipe = tiny.logit_kd(lora=EVERY)
    start = initial(recipe)
    params = jax.tree.map(
        lambda leaf: leaf + 0.01 * np.cos(np.arange(leaf.size, dtype=np.float32)).reshape(leaf.shape),
        jax.device_get(start.params),
    )
    variables = start.replace(params=params)
    value, _, (gradient, _), _ = loss_and_gradients(recipe, tiny_batch, variables=variables)
    shape = MeshShape(data=sizes[0], fsdp=sizes[1], tensor=sizes[2])
    found = loss_and_gradient_on(shape, recipe, tiny_batch, variables)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), found, (value, gradient))


def saved_state(train, folder):
    with jax.set_mesh(meshes.make(train.mesh)):
        abstract = train.compiled_step().abstract_state()
        with Checkpoints(folder / "checkpoints", read_only=True) as checkpoints:
            return jax.device_get(checkpoints.restore(checkpoints.latest(), abstract)[0])


@pytest.mark.slow
def test_a_resumed_run_equals_an_uninterrupted_one(tiny, tmp_path):
    recipe = tiny.logit_kd(lora=dataclasses.replace(EVERY, dropout=0.2), dropout=0.1)
    shape = MeshShape(data=1, fsdp=2, tensor=2)
    train = tiny.train(
        recipe,
        steps=4,
        save_every=2,
        keep_last=2,
        ema_decay=0.9,
        accumulation=2,
        mesh=shape,
        validation=(),
        evaluators=(),
    )
    train.run(tmp_path / "whole", seed=0, stages={})
    shutil.copytree(tmp_path / "whole", tmp_path / "parts")
    (tmp_path / "parts/evaluation.json").unlink()
    shutil.rmtree(tmp_path / "parts/checkpoints/4")
    train.run(tmp_path / "parts", seed=0, stages={})
    whole, parts = saved_state(train, tmp_path / "whole"), saved_state(train, tmp_path / "parts")
    jax.tree.map(np.testing.assert_array_equal, whole, parts)
    assert whole.params.keys() == whole.ema.keys() == {"lora"}, "the frozen model is in no checkpoint"
    rows = [
        [metric_writer.without_wall_clock(row) for row in metric_writer.read(tmp_path / name)]
        for name in ("whole", "parts")
    ]
    assert rows[0] == rows[1]


@pytest.mark.slow
def test_bfloat16_and_a_quantised_checkpoint_train_and_evaluate(tiny, tmp_path):
    student = dataclasses.replace(tiny.student, quantization="int8")
    optimizer = Optimizer(learning_rate=1e-2, groups=(Group(name="lora", learning_rate=5e-2),))
    recipe, evaluators = tiny.sft(lora=EVERY, student=student), (tiny.bits_per_byte(),)
    options = {"mesh": MeshShape(data=1), "validation": (), "evaluators": evaluators}
    train = tiny.train(recipe, steps=2, precision="bfloat16", optimizer=optimizer, **options)
    assert "trainable      lora" in train.plan().description
    train.run(tmp_path, seed=0, stages={})
    assert np.isfinite(read_evaluations(tmp_path)["bits_per_byte"].metrics["bits_per_byte"])


@pytest.fixture(scope="module")
def checkpoint(tiny_folder, tmp_path_factory):
    """The tiny model, with settings for generation beside it."""
    folder = shutil.copytree(tiny_folder, tmp_path_factory.mktemp("checkpoint") / "model")
    (folder / "generation_config.json").write_text('{"temperature": 0.7}')
    return folder


@pytest.fixture(scope="module")
def finished(checkpoint, tiny_text, tmp_path_factory):
    """A run whose student is the whole tiny model with adapters, and its moving average."""
    from tests.tiny_runs import Tiny

    tiny = Tiny(checkpoint, tiny_text)
    folder = tmp_path_factory.mktemp("run")
    changes = {"mesh": MeshShape(data=1), "validation": (), "evaluators": (tiny.bits_per_byte(),)}
    train = tiny.train(tiny.sft(lora=EVERY, student=tiny.teacher), steps=2, ema_decay=0.5, **changes)
    train.run(folder, seed=0, stages={})
    return folder


def test_a_run_is_evaluated_and_sampled_from_as_it_was_trained(finished, tmp_path, capsys):
    evaluate.main(["--run", str(finished), "--output", str(tmp_path / "again.json")])
    again = json.loads((tmp_path / "again.json").read_text())["bits_per_byte"]["metrics"]
    assert again == pytest.approx(read_evaluations(finished)["bits_per_byte"].metrics)
    generate.main(["--run", str(finished), "--prompt", "the", "--max-new-tokens", "2"])


def test_the_export_is_one_model_with_the_adapters_merged(finished, checkpoint, tmp_path, capsys):
    export.main(["--run", str(finished), "--to", str(tmp_path / "out"), "--max-shard-gb", "1e-4"])
    assert "read back equal" in capsys.readouterr().out
    assert (tmp_path / "out" / "model.safetensors.index.json").exists()
    assert json.loads((tmp_path / "out" / "generation_config.json").read_text()) == {"temperature": 0.7}
    model, exported = runs.language_model(finished), Pretrained(path=str(tmp_path / "out"))
    assert exported.config() == dataclasses.replace(model.config, lora=None, dropout=exported.config().dropout)
    merged = jax.device_get(lora.merge(model.params, model.config.lora))
    jax.tree.map(np.testing.assert_array_equal, exported.load(), merged)
    base = Pretrained(path=str(checkpoint)).load()
    changed = jax.tree.map(lambda a, b: bool((a != b).any()), merged, base)
    assert changed["blocks"]["mlp"] == {part: {"kernel": True} for part in ("up", "gate", "down")}
    assert not changed["embedding"]


def test_the_adapter_can_be_exported_alone(finished, checkpoint, tmp_path, capsys):
    export.main(["--run", str(finished), "--to", str(tmp_path / "out"), "--form", "adapter"])
    assert f"MB beside {checkpoint}" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["r"]) == (str(checkpoint), 4)
    ours = runs.language_model(finished).params["blocks"]["mlp"]["up"]["lora"]
    theirs = load_file(tmp_path / "out" / "adapter_model.safetensors")
    np.testing.assert_array_equal(theirs["base_model.model.model.layers.1.mlp.up_proj.lora_A.weight"].T, ours["a"][1])


def test_an_adapter_is_exported_only_where_there_is_one_and_its_checkpoint_exists(tiny, tmp_path, capsys):
    for name, recipe, message in (
        (
            "whole",
            tiny.sft(student=tiny.teacher),
            "form must be model for a student that was trained whole, got adapter",
        ),
        (
            "cut",
            tiny.sft(lora=EVERY),
            "form must be model for a student that was cut out of another model, got adapter",
        ),
    ):
        train = tiny.train(recipe, steps=2, mesh=MeshShape(data=1), validation=(), evaluators=())
        train.run(tmp_path / name, seed=0, stages={})
        with pytest.raises(SystemExit):
            export.main(["--run", str(tmp_path / name), "--to", str(tmp_path / "out"), "--form", "adapter"])
        assert message in capsys.readouterr().err


CONFIG = """
from jaxkd.data import Jsonl
from jaxkd.data import PackedText
from jaxkd.training import Train
from jaxkd.models import LoRA
from jaxkd.models import Pretrained
from jaxkd.recipes.sft import SFT
from jaxkd.study import Study


def get_config(size):
    recipe = SFT(student=Pretrained(path="a/b"), data=PackedText(source=Jsonl(train="a.jsonl")), lora={lora})
    return Study(name="x", title="x", description="x", stages=(Train(name="sft", recipe=recipe, steps=2),))
"""


def test_fields_of_the_adapters_are_options(tmp_path):
    (tmp_path / "with.py").write_text(CONFIG.format(lora="LoRA(rank=4)"))
    (tmp_path / "without.py").write_text(CONFIG.format(lora="None"))
    options = ["--recipe.lora.alpha", "3", "--recipe.lora.targets", "mlp", "query"]
    _, study = train.parse(["--config", str(tmp_path / "with.py"), *options])
    assert study.stages[0].recipe.lora == LoRA(rank=4, alpha=3.0, targets=("mlp", "query"))
    assert configs.decode(configs.encode(study)) == study
    _, study = train.parse(["--config", str(tmp_path / "without.py"), "--steps", "3"])
    assert study.stages[0].recipe.lora is None
