"""HandRegression and MultiViewKD: their formula, whose labels they learn, and what they refuse."""

import dataclasses
import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.data.images.augmentation import Augmentation
from jaxkd.recipes.hand_regression import HandRegression
from jaxkd.recipes.multi_view_kd import MultiViewKD
from jaxkd.records import ImageBatch
from jaxkd.sharding import MeshShape
from jaxkd.study.cache_hands_stage import CacheHands
from jaxkd.training import Optimizer, Train
from jaxkd.vision.hands import HandRegressor, TaughtHands
from jaxkd.vision.segmentation import UNet
from tests.vision.tiny_hand_views import DottedHands, KnowingTeacher

NETWORK = HandRegressor(size=32, widths=(8, 8), blocks=(0, 0), reduced=2)
DATA = DottedHands()
UNLABELLED = DottedHands(labelled=False)
REGRESSION = HandRegression(data=DATA, network=NETWORK, rows=4, pixel_weight=0.7, point_weight=3.0, depth_weight=0.4)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Predictions of a teacher with wrong depths for the training images."""
    folder = tmp_path_factory.mktemp("labels") / "0"
    CacheHands(name="labels", model=KnowingTeacher(depth_error=0.5), data=UNLABELLED, rows=4).run(
        folder, seed=0, stages={}
    )
    return str(folder)


def kd(stored, **changes):
    return dataclasses.replace(MultiViewKD(data=UNLABELLED, network=NETWORK, rows=4, labels=stored), **changes)


def first_batch(recipe):
    return jax.device_put(next(iter(recipe.batches("train", 0))))


@functools.partial(jax.jit, static_argnums=0)
def value_and_grad(recipe, variables, batch):
    """Loss, metrics, and the gradient of the parameters."""

    def loss(params):
        output = recipe.loss(variables.replace(params=params), batch, recipe.counts(batch), jax.random.key(0))
        return output.loss, output.metrics

    return jax.value_and_grad(loss, has_aux=True)(variables.params)


@pytest.fixture(scope="module")
def variables():
    return REGRESSION.init(jax.random.key(0))


def test_the_loss_is_the_weighted_mean_of_absolute_errors(variables):
    batch = first_batch(REGRESSION)
    labels = dataclasses.replace(
        batch.targets,
        known=jnp.array([True, True, False, True]),
        root_depth=batch.targets.root_depth.at[1].set(jnp.nan),
    )
    found = jax.device_get(jax.jit(lambda model, images: model(images))(REGRESSION.model(variables), batch.images))
    expected = []
    for row in (0, 1, 3):
        pixels = np.mean(np.abs(found.pixels[row] - np.asarray(labels.pixels[row], np.float64))) / 32
        points = np.mean(np.abs(found.points[row] - np.asarray(labels.points[row], np.float64)))
        depth = 0 if row == 1 else abs(np.log(found.root_depth[row]) - np.log(labels.root_depth[row]))
        expected.append(0.7 * pixels + 3 * points + 0.4 * depth)
    (loss, metrics), _ = value_and_grad(REGRESSION, variables, ImageBatch(images=batch.images, targets=labels))
    np.testing.assert_allclose(loss, np.mean(expected), rtol=1e-5)
    errors = np.linalg.norm(found.points - np.asarray(labels.points), axis=-1).mean(-1)[[0, 1, 3]]
    np.testing.assert_allclose(
        metrics["point_error"].total / metrics["point_error"].count, 1e3 * errors.mean(), rtol=1e-5
    )


def test_images_without_labels_have_no_gradient(variables):
    batch = first_batch(dataclasses.replace(REGRESSION, data=UNLABELLED))
    assert not np.asarray(batch.targets.known).any()
    (loss, _), gradient = value_and_grad(REGRESSION, variables, batch)
    assert loss == 0
    assert all((np.asarray(leaf) == 0).all() for leaf in jax.tree.leaves(gradient))


def test_the_gradient_is_that_of_finite_differences(variables):
    batch = first_batch(REGRESSION)
    _, gradient = value_and_grad(REGRESSION, variables, batch)
    rng = np.random.default_rng(0)
    way = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), variables.params)
    forward, back = (
        value_and_grad(
            REGRESSION,
            variables.replace(params=jax.tree.map(lambda leaf, step, s=s: leaf + s * step, variables.params, way)),
            batch,
        )[0][0]
        for s in (np.float32(1e-3), np.float32(-1e-3))
    )
    slope = sum(np.vdot(one, other) for one, other in zip(jax.tree.leaves(gradient), jax.tree.leaves(way), strict=True))
    # Central differences of a piecewise smooth function: the step's square, and the kinks of a few joints.
    np.testing.assert_allclose((forward - back) / 2e-3, slope, rtol=0.05)


def test_the_labels_are_the_teachers_fused_and_true_ones_stay(stored):
    truth = DATA.examples("train")
    fused, own = (kd(stored, fusion=rule).examples("train") for rule in ("triangulated", "none"))
    assert len(fused) == len(truth) == 9
    for one, other, true in zip(fused, own, truth, strict=True):
        assert one.key == other.key == true.key
        np.testing.assert_allclose(one.target.points, true.target.points, atol=2e-6)
        np.testing.assert_allclose(
            other.target.points, true.target.points * np.array([1, 1, 1.5], np.float32), atol=2e-6
        )
        assert one.target.eccentricity == true.target.eccentricity
    labelled = TaughtHands(DATA, "train", Path(stored), rule="none")
    np.testing.assert_array_equal(labelled[4].target.points, truth[4].target.points)
    assert [one.key for one in labelled[2:4]] == [one.key for one in truth[2:4]]
    assert kd(stored).examples("validation")[0].target.known


def test_training_reads_the_stored_labels(stored, tmp_path):
    recipe = kd("stage:labels")
    recipe.validate()
    stage = Train(name="kd", recipe=recipe, steps=2, optimizer=Optimizer(learning_rate=1e-2), mesh=MeshShape(data=1))
    stage.run(tmp_path, seed=0, stages={"labels": stored})
    assert recipe.provenance() == "HandRegressor of 14,516 parameters, from DottedHands at 32 x 32"


def test_refusals(stored):
    with pytest.raises(ValueError, match=r"point_weight must be at least 0, got -1\."):
        dataclasses.replace(REGRESSION, point_weight=-1).validate()
    with pytest.raises(ValueError, match=r"augmentation must move the joints with the image, got Augmentation, which"):
        dataclasses.replace(REGRESSION, augmentation=Augmentation()).validate()
    with pytest.raises(ValueError, match=r"network must return a HandPrediction of 21 joints, got SegmentationMaps\."):
        dataclasses.replace(REGRESSION, network=UNet(widths=(4, 4))).validate()
    with pytest.raises(ValueError, match="must be made from the same frames, but differs in frames"):
        kd(stored, data=DottedHands(train=2, labelled=False)).examples("train")
    with pytest.raises(FileNotFoundError, match=r"must be a folder with a manifest\.json"):
        kd("nowhere").examples("train")
