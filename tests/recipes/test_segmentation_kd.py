"""SegmentationKD against its formula in NumPy, its teachers, and what it refuses."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.recipes.segmentation import Segmentation
from jaxkd.recipes.segmentation_kd import SegmentationKD
from jaxkd.records import UNLABELLED
from jaxkd.sharding import MeshShape
from jaxkd.training import Optimizer, Train
from jaxkd.vision.trained_network import TrainedNetwork
from tests.vision.tiny_images import Discs, OneLayer

TEACHER, STUDENT = OneLayer(width=4), OneLayer(width=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A teacher of three steps."""
    folder = tmp_path_factory.mktemp("teacher") / "0"
    recipe = Segmentation(data=Discs(), network=TEACHER, rows=4)
    optimizer = Optimizer(learning_rate=1e-1)
    Train(name="teacher", recipe=recipe, steps=3, optimizer=optimizer, mesh=MeshShape(data=1)).run(
        folder, seed=0, stages={}
    )
    return str(folder)


def recipe(run, **changes):
    teachers = (TrainedNetwork(network=TEACHER, path=run),)
    return dataclasses.replace(SegmentationKD(data=Discs(), network=STUDENT, rows=4, teachers=teachers), **changes)


def first_batch(given):
    return jax.device_put(next(iter(given.batches("train", 0))))


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def test_the_loss_is_its_formula(run):
    given = recipe(run, kd_rate=0.3, temperature=2.0)
    given.validate()
    variables, batch = given.init(jax.random.key(0)), first_batch(given)
    output = given.loss(variables, batch, given.counts(batch), jax.random.key(1))
    maps, _ = given.outputs(variables, batch, jax.random.key(1))
    label, _ = given.label_loss(maps, batch)
    theirs = given.teachers[0].model(variables.frozen["0"])(batch.images).logits
    p, q = (sigmoid(np.asarray(logits, np.float64) / 2) for logits in (theirs, maps.logits))
    nats = np.mean(p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)), axis=(1, 2, 3))
    expected = np.mean(0.7 * np.asarray(label, np.float64) + 0.3 * 4 * nats)
    np.testing.assert_allclose(output.loss, expected, rtol=1e-5)
    np.testing.assert_allclose(output.metrics["divergence"].value(), np.mean(nats), rtol=1e-4)
    assert "feature_distance" not in output.metrics


def test_a_student_like_its_teacher_has_no_divergence(run):
    given = recipe(run, network=TEACHER, channelwise_rate=1.0, attention_rate=1.0, layers=((0, 0),))
    given.validate()
    variables, batch = given.init(jax.random.key(0)), first_batch(given)
    assert given.loss(variables, batch, given.counts(batch), jax.random.key(1)).metrics["divergence"].value() > 1e-4
    teacher = given.teachers[0].model(variables.frozen["0"])
    maps = teacher(batch.images)
    divergence, features = given._imitation(maps, maps)
    np.testing.assert_allclose(divergence, 0, atol=1e-6)
    np.testing.assert_allclose(features, 0, atol=1e-5)


def test_the_teachers_statistics_count(run):
    given = recipe(run)
    frozen = given.load_frozen()["0"]
    images = first_batch(given).images
    fresh = TEACHER.abstract()[1]
    state = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape) + 1, fresh)
    one, other = (given.teachers[0].model(each)(images).logits for each in (frozen, frozen | {"state": state}))
    assert np.abs(one - other).max() > 1e-2


def test_several_teachers_count_equally(run):
    one = recipe(run, kd_rate=1.0)
    two = dataclasses.replace(one, teachers=one.teachers * 2)
    variables, batch = one.init(jax.random.key(0)), first_batch(one)
    both = variables.replace(frozen=two.load_frozen())
    counts = one.counts(batch)
    losses = [
        given.loss(given_variables, batch, counts, jax.random.key(1)).loss
        for given, given_variables in ((one, variables), (two, both))
    ]
    np.testing.assert_allclose(*losses, rtol=1e-6)


def test_what_cannot_work_is_refused(run, tmp_path):
    with pytest.raises(ValueError, match="teachers must name at least one network, got none"):
        recipe(run, teachers=()).validate()
    with pytest.raises(ValueError, match=r"kd_rate must be in \[0, 1\], got 2\."):
        recipe(run, kd_rate=2.0).validate()
    with pytest.raises(ValueError, match=r"temperature must be above 0, got 0\."):
        recipe(run, temperature=0.0).validate()
    with pytest.raises(ValueError, match=r"attention_rate must be at least 0, got -1\."):
        recipe(run, attention_rate=-1.0).validate()
    with pytest.raises(ValueError, match="layers must be given with attention_rate, and not without"):
        recipe(run, attention_rate=1.0).validate()
    other = TrainedNetwork(network=dataclasses.replace(TEACHER, width=5), path=run)
    with pytest.raises(ValueError, match=r"network must be the one in .*, got others in width: 4 -> 5"):
        recipe(run, teachers=(other,)).validate()
    nothing = TrainedNetwork(network=TEACHER, path=str(tmp_path))
    with pytest.raises(ValueError, match="path must be the folder of a run that trained a network on images"):
        recipe(run, teachers=(nothing,)).validate()
    recipe(run, teachers=(TrainedNetwork(network=TEACHER, path="stage:teacher"),)).validate()


def test_images_without_labels_are_learnt_from_the_teacher(run):
    given = recipe(run, kd_rate=0.5)
    variables, batch = given.init(jax.random.key(0)), first_batch(given)
    unlabelled = dataclasses.replace(batch, targets=jnp.full_like(batch.targets, UNLABELLED))
    loss = given.loss(variables, unlabelled, given.counts(unlabelled), jax.random.key(1))
    taught = dataclasses.replace(given, kd_rate=1.0).loss(variables, batch, given.counts(batch), jax.random.key(1))
    np.testing.assert_allclose(loss.loss, 0.5 * taught.loss, rtol=1e-6)
    assert loss.metrics["divergence"].count == 4
