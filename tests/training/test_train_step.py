"""The optimizer step: accumulation, sharding, precision, averages, donation."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxkd.records import Variables
from jaxkd.sharding import MeshShape
from jaxkd.sharding.mesh import make, on_ambient
from jaxkd.training import train_step as steps
from tests.tiny_runs import Tiny, initial, placed, weights_by_numpy

SGD = optax.with_extra_args_support(optax.sgd(0.1))


@pytest.fixture(scope="module")
def batch(tiny_batch):
    return tiny_batch


@functools.cache
def compiled(recipe, optimizer=SGD, **options):
    return jax.jit(steps.train_step(recipe, optimizer, **options), donate_argnums=0)


def one_step(recipe, batch, *, mesh=None, optimizer=SGD, **options):
    variables = initial(recipe)
    with jax.set_mesh(make(mesh or MeshShape(data=1))):
        variables = placed(variables, recipe)
        state = steps.initial_state(variables, optimizer, ema=options.get("ema_decay") is not None)
        step = compiled(recipe, optimizer, **options)
        state, metrics = step(state, variables.frozen, on_ambient(batch), jax.random.key(1))
        return jax.device_get((state, metrics))


@pytest.fixture(scope="module")
def whole(tiny_folder, tiny_text, batch):
    """A step on all rows at once, on one device, which keeps an average."""
    return one_step(Tiny(tiny_folder, tiny_text).logit_kd(), batch, ema_decay=0.75)


def assert_same_step(got, expected, *, rtol=1e-5, atol=1e-6):
    for name, value in expected[1].items():
        np.testing.assert_allclose(got[1][name], value, rtol=rtol, atol=atol, err_msg=name)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=atol), got[0].params, expected[0].params)


@pytest.mark.parametrize("accumulation", [*(pytest.param(one, marks=pytest.mark.slow) for one in (2, 4)), 8])
def test_micro_batches_equal_one_batch(tiny, batch, whole, accumulation):
    assert_same_step(one_step(tiny.logit_kd(), batch, accumulation=accumulation), whole, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "sizes",
    [(2, 2, 2), *(pytest.param(one, marks=pytest.mark.slow) for one in ((8, 1, 1), (1, 8, 1), (1, 1, 8), (1, 2, 4)))],
)
def test_eight_devices_equal_one(tiny, batch, whole, sizes):
    mesh = MeshShape(data=sizes[0], fsdp=sizes[1], tensor=sizes[2])
    assert_same_step(one_step(tiny.logit_kd(), batch, mesh=mesh), whole)


@pytest.mark.parametrize(
    ("student", "teacher"),
    [pytest.param("sharded", "replicated", marks=pytest.mark.slow), ("replicated", "tensor")],
)
def test_student_and_teacher_may_lie_differently_on_the_mesh(tiny, batch, whole, student, teacher):
    recipe = tiny.logit_kd(
        student=dataclasses.replace(tiny.student, layout=student),
        teacher=dataclasses.replace(tiny.teacher, layout=teacher),
    )
    assert_same_step(one_step(recipe, batch, mesh=MeshShape(data=1, fsdp=4, tensor=2)), whole)


def test_accumulation_over_eight_devices_equals_one_batch_on_one(tiny, batch, whole):
    assert_same_step(one_step(tiny.logit_kd(), batch, mesh=MeshShape(data=2, fsdp=2, tensor=2), accumulation=2), whole)


def test_remat_changes_memory_only(tiny, batch, whole):
    assert_same_step(one_step(tiny.logit_kd(remat=True), batch), whole)


def test_bfloat16_computes_coarsely_and_stores_finely(tiny, batch, whole):
    state, metrics = one_step(tiny.logit_kd(), batch, precision="bfloat16")
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(state.params))
    np.testing.assert_allclose(metrics["loss"], whole[1]["loss"], rtol=2e-2)
    assert metrics["loss"] != whole[1]["loss"]


def test_the_average_moves_towards_the_parameters(tiny, whole):
    state, start = whole[0], initial(tiny.logit_kd()).params
    jax.tree.map(
        lambda ema, new, old: np.testing.assert_allclose(ema, 0.25 * new + 0.75 * old, atol=1e-6),
        state.ema,
        state.params,
        jax.device_get(start),
    )
    averaged = state.variables({}, averaged=True)
    assert averaged.params is state.ema


def test_the_state_is_donated(tiny, batch):
    recipe, optimizer = tiny.sft(), optax.with_extra_args_support(optax.adam(1e-3))
    with weights_by_numpy():
        state = steps.initial_state(recipe.init(jax.random.key(0)), optimizer, ema=True)
    compiled(recipe, optimizer, ema_decay=0.9)(state, {}, batch, jax.random.key(1))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))


def test_dropout_follows_the_step_and_the_micro_batch(tiny, batch, whole):
    recipe = tiny.logit_kd(dropout=0.3)
    first, again = one_step(recipe, batch), one_step(recipe, batch)
    assert_same_step(first, again, rtol=0, atol=0)
    assert first[1]["loss"] != whole[1]["loss"]
    assert one_step(recipe, batch, accumulation=2)[1]["loss"] != first[1]["loss"]


def test_a_line_search_sees_the_loss_of_the_whole_window(tiny, batch, whole):
    optimizer = optax.chain(SGD, optax.scale_by_backtracking_linesearch(max_backtracking_steps=3))
    state, metrics = one_step(tiny.logit_kd(), batch, accumulation=2, optimizer=optimizer)
    np.testing.assert_allclose(metrics["loss"], whole[1]["loss"], rtol=1e-6)
    value = optax.tree_utils.tree_get(state.optimizer, "value")
    assert 0 < value < metrics["loss"]


def test_casting_leaves_integers_alone():
    tree = {"a": jnp.ones(2), "b": jnp.ones(2, jnp.int32), "c": jax.ShapeDtypeStruct((2,), jnp.float32)}
    cast = steps.cast(tree, jnp.dtype(jnp.bfloat16))
    assert [leaf.dtype for leaf in cast.values()] == [jnp.bfloat16, jnp.int32, jnp.bfloat16]


def test_variables_default_to_nothing_but_parameters():
    variables = Variables(params={"student": jnp.ones(2)})
    assert (variables.state, variables.frozen, variables.derived, variables.step) == ({}, {}, {}, 0)
