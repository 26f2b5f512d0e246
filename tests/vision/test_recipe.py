"""Training of networks with running statistics: resumed, continued, averaged, spread over devices, refused."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.losses import bce_dice_loss
from jaxkd.recipes.segmentation import Segmentation
from jaxkd.records import UNLABELLED
from jaxkd.runtime.checkpoint import Checkpoints
from jaxkd.runtime.trained_params import STUDENT
from jaxkd.sharding import MeshShape
from jaxkd.sharding import mesh as meshes
from jaxkd.study import runs
from jaxkd.training import Optimizer, Train
from jaxkd.training.train_step import initial_state, train_step
from tests.vision.tiny_images import Discs, OneLayer

ONE = MeshShape(data=1)


def recipe(**changes):
    return dataclasses.replace(Segmentation(data=Discs(), network=OneLayer(dropout=0.3), rows=4), **changes)


def train(**changes):
    optimizer = Optimizer(learning_rate=1e-2, schedule="constant")
    stage = Train(name="unet", recipe=recipe(), steps=4, optimizer=optimizer, mesh=ONE)
    return dataclasses.replace(stage, **changes)


def first_batch(given):
    return jax.device_put(next(iter(given.batches("train", 0))))


def saved(stage, folder):
    with jax.set_mesh(meshes.make(stage.mesh)):
        abstract = stage.compiled_step().abstract_state()
        with Checkpoints(folder / "checkpoints", read_only=True) as checkpoints:
            return jax.device_get(checkpoints.restore(checkpoints.latest(), abstract))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "0"
    train().run(folder, seed=0, stages={})
    return folder


def test_statistics_move_and_are_the_models(run):
    state, _ = saved(train(), run)
    statistics = state.state[STUDENT]["norm"]
    assert (statistics["mean"] != 0).all()
    model = runs.model(run)
    jax.tree.map(np.testing.assert_array_equal, statistics, jax.device_get(model.state["norm"]))
    jax.tree.map(np.testing.assert_array_equal, state.params[STUDENT], jax.device_get(model.params))
    assert str(model) == "a OneLayer"


def test_a_resumed_run_is_bitwise_the_undisturbed_one(run, tmp_path):
    train(steps=2).run(tmp_path, seed=0, stages={})
    train().run(tmp_path, seed=0, stages={})
    jax.tree.map(np.testing.assert_array_equal, saved(train(), run), saved(train(), tmp_path))


def test_a_run_that_starts_from_another_has_its_statistics(run, tmp_path):
    stage = train(start_from=str(run), steps=1, optimizer=Optimizer(learning_rate=0.0))
    stage.run(tmp_path, seed=1, stages={})
    (before, _), (after, _) = saved(train(), run), saved(stage, tmp_path)
    given = stage.recipe
    variables = given.abstract().replace(**jax.device_put({"params": before.params, "state": before.state}))
    batch = jax.device_put(next(iter(given.batches("train", 1))))
    _, expected = given.outputs(variables, batch, jax.random.key(0))
    # The dropout comes after the normalisation, so any key gives these statistics.
    jax.tree.map(lambda one, two: np.testing.assert_allclose(one, two, rtol=1e-5), expected, after.state)


def test_the_average_is_of_parameters_and_statistics(tmp_path):
    stage = train(ema_decay=0.5, steps=1)
    stage.run(tmp_path, seed=0, stages={})
    state, _ = saved(stage, tmp_path)
    start = jax.device_get(stage.recipe.init(jax.random.fold_in(jax.random.key(0), 2**31)))
    for average, new, old in (
        (state.ema, state.params, start.params),
        (state.ema_statistics, state.state, start.state),
    ):
        jax.tree.map(
            lambda mean, a, b: np.testing.assert_allclose(mean, (a + b) / 2, rtol=1e-6, atol=1e-6), average, new, old
        )
    model = runs.model(tmp_path)
    jax.tree.map(np.testing.assert_array_equal, state.ema_statistics[STUDENT], jax.device_get(model.state))


def test_eight_devices_equal_one():
    given = recipe(rows=8, network=OneLayer())
    batch = next(iter(given.batches("train", 0)))
    results = []
    for shape in (ONE, MeshShape(data=8), MeshShape(data=4, fsdp=2)):
        stage = train(recipe=given, mesh=shape)
        with jax.set_mesh(meshes.make(shape)) as mesh:
            step = stage.compiled_step()
            state = step.initial_state(given.init(jax.random.key(0)))
            state, metrics = step.jit()(
                state, {}, meshes.global_batch(batch, jax.sharding.get_mesh()), jax.random.key(1)
            )
            results.append(jax.device_get((state.params, state.state, metrics)))
            del mesh
    # float32, and sums over 8 x 64 pixels in another order.
    for other in results[1:]:
        jax.tree.map(lambda one, two: np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6), results[0], other)


def test_statistics_that_a_float64_run_stores_are_those_of_its_network():
    given = recipe(network=OneLayer())
    state = initial_state(given.init(jax.random.key(0)), train().compiled_step().optimizer, ema=False)
    step = train_step(given, train().compiled_step().optimizer, precision="bfloat16")
    after, _ = jax.eval_shape(step, state, {}, next(iter(given.batches("train", 0))), jax.random.key(0))
    assert jax.tree.map(jnp.shape, after.state) == jax.tree.map(jnp.shape, state.state)
    assert {leaf.dtype for leaf in jax.tree.leaves(after.state)} == {jnp.dtype("float32")}


def test_what_cannot_work_is_refused_before_it_starts():
    with pytest.raises(ValueError, match="accumulation must be 1 for a loss that reads statistics of the whole"):
        train(accumulation=2).validate()
    train(accumulation=2, recipe=recipe(network=OneLayer(normalised=False))).validate()
    with pytest.raises(ValueError, match=r"rows must be at least 1, got 0\."):
        recipe(rows=0).validate()
    with pytest.raises(ValueError, match=r"sides must be multiples of 4, got 6 x 6\."):
        recipe(data=Discs(side=6)).validate()
    with pytest.raises(ValueError, match=r"images must have 3 channels for OneLayer, got 4\."):
        recipe(data=Discs(channels=4)).validate()
    with pytest.raises(ValueError, match=r"dice_weight must be at least 0, got -1\."):
        recipe(dice_weight=-1.0).validate()
    with pytest.raises(ValueError, match=r"network must have one class, foreground against background, got 2\."):
        recipe(network=OneLayer(classes=2)).validate()
    with pytest.raises(ValueError, match="auxiliary_weights must have one weight for each auxiliary head, got 2 for 1"):
        recipe(auxiliary_weights=(0.1, 0.2)).validate()


def test_auxiliary_heads_add_their_losses():
    given = recipe(network=OneLayer(), auxiliary_weights=(0.5,))
    variables, batch = given.init(jax.random.key(0)), first_batch(given)
    counts = given.counts(batch)
    with_head = given.loss(variables, batch, counts, jax.random.key(1)).loss
    without = dataclasses.replace(given, auxiliary_weights=()).loss(variables, batch, counts, jax.random.key(1)).loss
    maps, _ = given.outputs(variables, batch, jax.random.key(1))
    head, _ = given.label_loss(dataclasses.replace(maps, logits=maps.auxiliary[0], auxiliary=maps.auxiliary), batch)
    alone, _ = dataclasses.replace(given, auxiliary_weights=()).label_loss(
        dataclasses.replace(maps, logits=maps.auxiliary[0]), batch
    )
    np.testing.assert_allclose(with_head, without + 0.5 * jnp.mean(alone), rtol=1e-6)
    assert head.shape == (4,)


def test_unlabelled_pixels_and_images_cost_nothing():
    given = recipe(network=OneLayer(), augmentation=None)
    variables, batch = given.init(jax.random.key(0)), first_batch(given)
    targets = np.array(batch.targets)
    targets[2:] = UNLABELLED
    targets[0, :, :3] = UNLABELLED
    partly = dataclasses.replace(batch, targets=jnp.asarray(targets))
    counts = given.counts(partly)
    assert (counts["images"], counts["labelled"]) == (4, 2)
    output = given.loss(variables, partly, counts, jax.random.key(1))
    # The statistics are those of all four images, labelled or not.
    maps, _ = given.outputs(variables, batch, jax.random.key(1))
    logits = maps.logits[..., 0]
    expected = (
        bce_dice_loss(logits[:1, :, 3:], batch.targets[:1, :, 3:]),
        bce_dice_loss(logits[1:2], batch.targets[1:2]),
    )
    np.testing.assert_allclose(output.loss, (expected[0][0] + expected[1][0]) / 2, rtol=1e-6)
    assert output.metrics["dice_loss"].count == 2
    nothing = dataclasses.replace(batch, targets=jnp.full_like(batch.targets, UNLABELLED))
    value, gradient = jax.value_and_grad(
        lambda params: (
            given.loss(variables.replace(params=params), nothing, given.counts(nothing), jax.random.key(1)).loss
        )
    )(variables.params)
    assert value == 0
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(gradient))
