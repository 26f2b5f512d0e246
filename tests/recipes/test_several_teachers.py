"""Several teachers: the mean of what each method says, whatever the vocabulary of its teacher."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from jaxkd.models import LoRA
from jaxkd.on_policy import Replay
from jaxkd.recipes.dskdv2 import DSKDv2
from jaxkd.recipes.dskdv2_eta import DSKDv2ETA
from jaxkd.recipes.logit_kd import LogitKD
from jaxkd.recipes.on_policy import OnPolicy
from jaxkd.recipes.several_teachers import SeveralTeachers
from jaxkd.runtime import configs
from jaxkd.sharding import MeshShape
from jaxkd.sharding import mesh as meshes
from jaxkd.study import runs
from tests.tiny_runs import initial, loss_alone, loss_and_gradients, weights_by_numpy


@pytest.fixture
def members(tiny):
    """A teacher of another vocabulary and one of the student's own, which is its own checkpoint."""
    foreign = tiny.cross(DSKDv2ETA)
    own = DSKDv2(student=tiny.foreign, teacher=tiny.foreign, data=tiny.paired.student)
    return foreign, own


def first_batch(recipe):
    return jax.device_put(next(iter(recipe.batches("train", 0))))


@pytest.mark.slow
def test_the_loss_is_the_mean_of_the_losses(members):
    recipe = SeveralTeachers(recipes=members, weights=(3.0, 1.0))
    recipe.validate()
    assert configs.decode(configs.encode(recipe)) == recipe
    batch = first_batch(recipe)
    value, output, (gradient, to_frozen), variables = loss_and_gradients(recipe, batch)
    alone = [loss_and_gradients(member, batch[name]) for name, member in zip("01", members, strict=True)]
    np.testing.assert_allclose(value, 0.75 * alone[0][0] + 0.25 * alone[1][0], rtol=1e-6)
    jax.tree.map(
        lambda whole, first, second: np.testing.assert_allclose(
            whole, 0.75 * first + 0.25 * second, rtol=1e-4, atol=1e-7
        ),
        gradient["student"],
        *(one[2][0]["student"] for one in alone),
    )
    assert set(gradient["projectors"]) == {"0", "1"}
    assert set(variables.frozen["teachers"]) == {"0", "1"}
    for name in "01":
        teacher = to_frozen["teachers"][name]["teacher"]
        assert all(bool((leaf == 0).all()) for leaf in jax.tree.leaves(teacher["blocks"]))
    targets = [int(member.counts(batch[name])["targets"]) for name, member in zip("01", members, strict=True)]
    assert int(recipe.counts(batch)["targets"]) == sum(targets)
    assert {"0/aligned", "1/t2s_agreement"} <= set(output.metrics)


def test_a_member_may_learn_from_what_the_student_writes(members):
    schedule = Replay(start=1.0, steps=9, capacity=8)
    writing = OnPolicy(recipe=members[0], max_new_tokens=4, cross_entropy="none", replay=schedule)
    recipe = SeveralTeachers(recipes=(writing, members[1]))
    recipe.validate()
    variables = initial(recipe)
    rollout = recipe.rollout(variables, next(iter(recipe.batches("train", 0))), jax.random.key(1))
    assert rollout.metrics["0/rollout/new"] == 1
    assert rollout.rollout_state["0"]["replay"]["written"] == 8
    assert not rollout.rollout_state["1"]
    after = recipe.validated(rollout.rollout_state, {"bits_per_byte": 1.0})
    assert after["0"]["replay"]["validated"] == 1.0
    value, *_ = loss_alone(recipe, rollout.batch)
    assert np.isfinite(value)


@pytest.mark.slow
def test_a_run_that_is_stopped_goes_on_bitwise(tiny, members, tmp_path):
    recipe = SeveralTeachers(recipes=members)
    changes = {"validation": (), "evaluators": (), "accumulation": 2, "mesh": MeshShape(data=1)}
    tiny.train(recipe, steps=3, **changes).run(tmp_path / "whole", seed=0, stages={})
    for steps in (2, 3):
        tiny.train(recipe, steps=steps, **changes).run(tmp_path / "parts", seed=0, stages={})
    rows = [
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("whole", "parts")
    ]
    losses = [[row["train/loss"] for row in part if "train/loss" in row] for part in rows]
    assert losses[0][0] == losses[1][0]
    assert len(losses[0]) == len(losses[1]) == 3
    with jax.set_mesh(meshes.make(MeshShape())):
        student = runs.language_model(tmp_path / "whole")
    assert jax.tree.structure(student.params) == jax.tree.structure(members[0].abstract().params["student"])


def test_abstract_variables_describe_the_real_ones(members):
    recipe = SeveralTeachers(recipes=tuple(dataclasses.replace(member, lora=LoRA(rank=2)) for member in members))
    described, real = recipe.abstract(), initial(recipe)
    for name in ("params", "frozen", "state", "rollout_state"):
        shapes = [jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), getattr(one, name)) for one in (described, real)]
        assert shapes[0] == shapes[1]
    with weights_by_numpy():
        assert jax.tree.structure(recipe.load_frozen()) == jax.tree.structure(real.frozen)


def test_what_cannot_work_is_refused(tiny, members):
    with pytest.raises(
        ValueError, match=r"recipes must be at least two, got 1\. Train a single one without SeveralTeachers"
    ):
        SeveralTeachers(recipes=members[:1]).validate()
    with pytest.raises(ValueError, match=r"weights must be one for each of the 2 recipes, or none, got \(1\.0,\)"):
        SeveralTeachers(recipes=members, weights=(1.0,)).validate()
    with pytest.raises(ValueError, match=r"weights must be above 0, got \(1\.0, 0\.0\)"):
        SeveralTeachers(recipes=members, weights=(1.0, 0.0)).validate()
    other = LogitKD(student=tiny.student, teacher=tiny.teacher, data=tiny.text)
    with pytest.raises(ValueError, match="recipes must train one student, whole or by the same adapters, got"):
        SeveralTeachers(recipes=(members[0], other)).validate()
    adapters = dataclasses.replace(members[1], lora=LoRA(rank=2))
    with pytest.raises(ValueError, match=r"of which they train \['student', 'lora'\]"):
        SeveralTeachers(recipes=(members[0], adapters)).validate()
    few = dataclasses.replace(members[1], data=dataclasses.replace(members[1].data, rows=4))
    with pytest.raises(ValueError, match=r"recipes must have batches of equally many rows, got \[8, 4\]"):
        SeveralTeachers(recipes=(members[0], few)).validate()
