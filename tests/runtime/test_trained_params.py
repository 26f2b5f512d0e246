"""The result of a run as a model: a student that was trained first, a teacher that was."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.models import LoRA
from jaxkd.runtime import configs, trained_params
from jaxkd.runtime.checkpoint import Checkpoints
from jaxkd.sharding import MeshShape
from jaxkd.sharding import mesh as meshes
from jaxkd.study import Study, TrainedModel, run_study, runs
from jaxkd.training import Optimizer
from jaxkd.training.stage_folder import read_evaluations
from tests.tiny_runs import Tiny, weights_by_numpy


@pytest.fixture(scope="module")
def tiny(tiny_folder, tiny_text):
    return Tiny(tiny_folder, tiny_text)


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory):
    """Two steps of fine-tuning."""
    folder = tmp_path_factory.mktemp("run") / "sft"
    train = tiny.train(tiny.sft(), steps=2, validation=(), evaluators=(), mesh=MeshShape(data=1))
    train.run(folder, seed=0, stages={})
    return folder


def test_it_has_the_parameters_of_the_run(tiny, run):
    model = dataclasses.replace(tiny.student, trained=str(run))
    assert configs.decode(configs.encode(model)) == model
    with jax.set_mesh(meshes.make(MeshShape())):
        expected = jax.device_get(runs.language_model(run).params)
    with jax.set_mesh(meshes.make(MeshShape(data=2, fsdp=2, tensor=2))):
        placed = model.load_sharded()
        described = model.abstract_sharded()
        embedding = model.load_sharded(only=("embedding",))
    for found in (placed, model.load()):
        jax.tree.map(np.testing.assert_array_equal, expected, found)
    assert jax.tree.map(lambda leaf: leaf.sharding, placed) == jax.tree.map(lambda leaf: leaf.sharding, described)
    np.testing.assert_array_equal(embedding["embedding"], expected["embedding"])
    assert (expected["embedding"] != tiny.student.load()["embedding"]).any()
    assert model.load(np.float16)["embedding"].dtype == np.float16
    assert model.provenance() == f"{tiny.student.provenance()}, trained by {run}"


def test_it_is_evaluated_as_a_checkpoint_and_as_a_run(tiny, run, tmp_path):
    sources = (dataclasses.replace(tiny.student, trained=str(run)), TrainedModel(run=str(run)))
    for number, source in enumerate(sources):
        tiny.evaluate(model=source).run(tmp_path / str(number), seed=0, stages={})
    first, second = (read_evaluations(tmp_path / str(number)) for number in (0, 1))
    assert first == second
    assert sources[1].provenance() == f"{tiny.sft().provenance()}, trained by {run}"


def test_it_is_another_model_than_its_files(tiny, run):
    model = dataclasses.replace(tiny.student, trained=str(run))
    assert model.fingerprint() == dataclasses.replace(model).fingerprint() != tiny.student.fingerprint()


@weights_by_numpy()
def test_a_projector_starts_from_the_trained_head(tiny, run):
    """A recipe's derived variables follow a student that starts from trained parameters."""
    model = dataclasses.replace(tiny.student, trained=str(run))
    started, untrained = (
        tiny.dskdv2(student=student).init(jax.random.key(0)).params["projectors"]["t2s"]["weight"]
        for student in (model, tiny.student)
    )
    assert abs(np.asarray(started) - np.asarray(untrained)).max() > 1e-4


@pytest.mark.slow
def test_a_study_goes_on_from_a_student_and_a_teacher_that_it_trained(tiny, tmp_path):
    short = {"steps": 2, "validation": (), "evaluators": (tiny.bits_per_byte(),)}
    student = dataclasses.replace(tiny.student, trained="stage:student")
    teacher = dataclasses.replace(tiny.teacher, trained="stage:teacher")
    cache = tiny.cache(name="cache", model=teacher)
    recipe = tiny.logit_kd(student=student, teacher=teacher, teacher_cache="stage:cache")
    unmoved = Optimizer(learning_rate=0.0, weight_decay=0.0)
    study = Study(
        name="tiny",
        title="",
        description="",
        stages=(
            tiny.train(tiny.sft(), name="student", label="student", **short),
            tiny.train(tiny.sft(student=tiny.teacher), name="teacher", label="teacher", **short),
            tiny.evaluate(name="again", label="again", model=student),
            cache,
            tiny.train(recipe, name="kd", label="kd", optimizer=unmoved, **short),
        ),
    )
    run_study(study, tmp_path)
    with jax.set_mesh(meshes.make(MeshShape())):
        first, last = (runs.language_model(tmp_path / name / "0").params for name in ("student", "kd"))
    jax.tree.map(np.testing.assert_array_equal, first, last)


def test_what_is_no_such_model_is_refused(tiny, run, tmp_path):
    with pytest.raises(ValueError, match="trained must be the folder of a run that trained this model, all of it, got"):
        dataclasses.replace(tiny.teacher, trained=str(run)).load_sharded()
    with pytest.raises(ValueError, match="trained must be the folder of a run .*stage:sft"):
        dataclasses.replace(tiny.student, trained="stage:sft").load_sharded()
    with pytest.raises(ValueError, match="quantization must be None for the result of a run, got 'int8'"):
        dataclasses.replace(tiny.student, trained=str(run), quantization="int8")
    adapters = tiny.train(tiny.sft(lora=LoRA(rank=2)), steps=2, validation=(), evaluators=(), mesh=MeshShape(data=1))
    adapters.run(tmp_path / "lora", seed=0, stages={})
    with pytest.raises(ValueError, match=r"saved nothing, .*merged by `python -m jaxkd.export`, whose folder is"):
        dataclasses.replace(tiny.student, trained=str(tmp_path / "lora")).load_sharded()


@pytest.mark.parametrize(("record", "step"), [({"better": "higher"}, 2), ({"better": "lower"}, 1), ({}, 1)])
def test_the_best_is_that_of_the_records_direction_and_the_lowest_of_older_ones(tmp_path, record, step):
    stored = {"stream": {}, "averaged": False, "ranked_by": "figure"} | record
    with Checkpoints(tmp_path / "checkpoints", keep_last=3, keep_best="figure") as checkpoints:
        for number, figure in enumerate((0.1, 0.9, 0.5), start=1):
            checkpoints.save(number, {"params": {"up": jnp.float32(number)}}, stored, {"figure": figure})
    assert trained_params.trained_params(tmp_path, {"up": jax.ShapeDtypeStruct((), jnp.float32)})["up"] == step


def test_origins_are_those_of_the_last_try(tmp_path):
    trained_params.write_origins(tmp_path, {"reference": "a"})
    assert trained_params.origins(tmp_path) == {"reference": "a"}
    trained_params.write_origins(tmp_path, {})
    assert trained_params.origins(tmp_path) == {}
