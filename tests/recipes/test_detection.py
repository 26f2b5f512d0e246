"""Detection and CoreKD: their formulas, gradients, teachers, and what they refuse."""

import dataclasses
import functools
import unittest.mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.recipes.core_kd import CoreKD
from jaxkd.recipes.detection import Detection
from jaxkd.records import Variables
from jaxkd.runtime.trained_params import STUDENT
from jaxkd.sharding import MeshShape
from jaxkd.training import Optimizer, Train
from jaxkd.vision.detection import recipe
from jaxkd.vision.detection.assignment import assign_cells
from jaxkd.vision.detection.gfl_loss import gfl_losses
from jaxkd.vision.detection.medium_fusion import MediumFusion
from jaxkd.vision.network import ImageNetwork
from jaxkd.vision.trained_network import TrainedNetwork
from tests.vision.segmentation.modules import drawn_params
from tests.vision.tiny_scenes import SMALL, Rectangles

ROWS = 4
KEY = jax.random.key(1)
COMMON = {"data": Rectangles(), "network": SMALL, "rows": ROWS, "anchor_scale": 2.0}
WEAK = dataclasses.replace(SMALL, stem="shape", weak_branch=True)


apply = jax.jit(ImageNetwork.apply, static_argnums=0, static_argnames="train")
losses = jax.jit(gfl_losses)


@pytest.fixture(autouse=True, scope="module")
def traced_once():
    """Trace a network and its losses once, however many recipes have them."""
    with (
        unittest.mock.patch.object(ImageNetwork, "apply", lambda *args, **options: apply(*args, **options)),
        unittest.mock.patch.object(recipe, "gfl_losses", losses),
    ):
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A teacher of two steps."""
    folder = tmp_path_factory.mktemp("teacher") / "0"
    optimizer = Optimizer(learning_rate=1e-2)
    stage = Train(name="teacher", recipe=detection(), steps=2, optimizer=optimizer, mesh=MeshShape(data=1))
    stage.run(folder, seed=0, stages={})
    return str(folder)


def detection(**changes):
    return dataclasses.replace(Detection(**COMMON), **changes)


def core_kd(run, **changes):
    teacher = TrainedNetwork(network=SMALL, path=run)
    return dataclasses.replace(CoreKD(**COMMON, teacher=teacher), **changes)


@functools.lru_cache
def first_batch(given):
    return jax.device_put(next(iter(given.batches("train", 0))))


def some_variables(given):
    """Variables with parameters that are nowhere 0: a residual block's last scale is at first, and stops gradients."""
    state = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), given.network.abstract()[1])
    params = {STUDENT: drawn_params(given.network)}
    return Variables(params=params, state={STUDENT: state} if state else {}, frozen=given.load_frozen())


@functools.lru_cache
def counted(given):
    return jax.device_get(jax.jit(given.counts)(first_batch(given)))


@functools.lru_cache
def with_gradients(given):
    """Variables, loss, its output, the maps, and the gradients to parameters and frozen variables, on the host."""
    variables, batch, counts = some_variables(given), first_batch(given), counted(given)

    def loss(params, frozen):
        read = variables.replace(params=params, frozen=frozen)
        output = given.loss(read, batch, counts, KEY)
        return output.loss, (output, given.outputs(read, batch, jax.random.split(KEY)[0])[0])

    compiled = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))
    (value, (output, maps)), gradients = jax.device_get(compiled(variables.params, variables.frozen))
    return variables, value, output, maps, gradients


@functools.lru_cache
def label_loss(given):
    """The label loss as a compiled function of parameters, maps and batch."""
    return jax.jit(lambda params, maps, batch: given.label_loss(params, maps, batch, given.counts(batch), KEY))


def assigned(boxes):
    return assign_cells(boxes, sizes=((4, 6), (2, 3), (1, 2)), strides=SMALL.strides, scale=2)


PLAIN = detection(giou_weight=3.0, distribution_weight=0.5)


def test_the_loss_is_its_formula():
    PLAIN.validate()
    _, value, output, maps, _ = with_gradients(PLAIN)
    batch = first_batch(PLAIN)
    sums = jax.device_get(losses(maps, batch.targets, jax.jit(assigned)(batch.targets)))
    positives, weight = float(np.sum(sums.positives)), float(np.sum(sums.weights))
    assert positives >= 1
    assert float(counted(PLAIN)["positives"]) == positives
    boxes = (3 * np.sum(sums.giou) + 0.5 * np.sum(sums.distribution)) / max(weight, 1)
    np.testing.assert_allclose(value, np.sum(sums.quality) / positives + boxes, rtol=1e-5)
    np.testing.assert_allclose(output.metrics["quality_loss"].value(), np.sum(sums.quality) / positives, rtol=1e-5)
    assert float(output.metrics["objects_learnt"].value()) == 1


def test_objects_much_smaller_than_the_anchors_are_learnt_by_no_cell():
    given = detection(anchor_scale=8.0)
    variables, _, _, maps, _ = with_gradients(PLAIN)
    _, metrics = label_loss(given)(variables.params[STUDENT], maps, first_batch(given))
    assert float(metrics["objects_learnt"].value()) == 0


def test_the_gradient_reaches_every_parameter():
    for given in (PLAIN, detection(network=WEAK, weak_rate=1.0)):
        *_, (gradients, _) = with_gradients(given)
        for path, leaf in jax.tree_util.tree_leaves_with_path(gradients[STUDENT]):
            assert np.isfinite(leaf).all(), path
            # A level without objects has no distances to scale, and half of two classes is one, normalised to 0.
            assert np.any(leaf != 0) or path[1].key in ("scales", "scores"), path


def test_weak_supervision_and_the_weights_of_the_images_are_metrics():
    given = detection(network=WEAK, weak_rate=1.0)
    given.validate()
    _, value, output, _, _ = with_gradients(given)
    found = {name: float(mean.value()) for name, mean in output.metrics.items()}
    assert 0 < found["mask_loss"] < 3
    assert 0 < found["class_loss"] < 3
    assert 0.3 < found["visible_weight"] < 0.7
    assert 0 < found["visible_weight_deviation"] < 0.3
    assert value > found["mask_loss"] + found["class_loss"]


def test_a_batch_without_objects_costs_a_finite_loss():
    variables, _, _, maps, _ = with_gradients(PLAIN)
    batch = first_batch(PLAIN)
    empty = dataclasses.replace(batch.targets, mask=np.zeros(batch.targets.mask.shape, bool))
    batch = dataclasses.replace(batch, targets=empty)
    loss, metrics = label_loss(PLAIN)(variables.params[STUDENT], maps, batch)
    assert 0 < float(loss) < np.inf
    assert float(metrics["objects_learnt"].count) == 0


def test_core_kd_adds_the_distance_of_logits(run):
    given = core_kd(run, core_rate=0.5, giou_weight=PLAIN.giou_weight, distribution_weight=PLAIN.distribution_weight)
    given.validate()
    variables, value, output, maps, (gradients, to_teacher) = with_gradients(given)
    batch = first_batch(given)
    frozen = variables.frozen["teacher"]
    theirs = jax.jit(lambda images: given.teacher.model(frozen)(images).class_logits)(batch.images)
    ours = jax.jit(lambda towers: [SMALL.classify(frozen["params"], tower) for tower in towers])(maps.tower)
    expected = np.zeros(ROWS)
    for one, other in zip(ours, theirs, strict=True):
        expected += np.mean((np.asarray(one, np.float64) - np.asarray(other)) ** 2, axis=(1, 2, 3))
    np.testing.assert_allclose(output.metrics["core_distance"].value(), np.mean(expected), rtol=1e-4)
    label, _ = label_loss(PLAIN)(variables.params[STUDENT], maps, batch)
    np.testing.assert_allclose(value, label + 0.5 * np.mean(expected), rtol=1e-5)
    assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(to_teacher))
    assert np.isfinite(jax.tree.leaves(gradients)[0]).all()


def test_core_kd_teaches_the_tower_and_not_the_students_own_classifier(run):
    given = core_kd(run)
    variables, batch = some_variables(given), first_batch(given)

    @jax.jit
    @jax.grad
    def gradient(params):
        maps, _ = given.outputs(variables.replace(params=params), batch, KEY)
        return jnp.sum(given.core_distance(maps, variables.frozen["teacher"], batch))

    found = jax.device_get(gradient(variables.params))[STUDENT]
    assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(SMALL.classifier_params(found)))
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(found["backbone"]))


def test_a_student_like_its_teacher_is_at_no_distance(run):
    given = core_kd(run)
    frozen, batch = given.load_frozen()["teacher"], first_batch(given)
    distance = jax.jit(lambda frozen: given.core_distance(given.teacher.model(frozen)(batch.images), frozen, batch))
    np.testing.assert_allclose(distance(frozen), 0, atol=1e-10)


def test_what_cannot_work_is_refused(run):
    with pytest.raises(ValueError, match="network must have the 2 classes of the data, upright, lying, got 3"):
        detection(network=dataclasses.replace(SMALL, classes=3)).validate()
    with pytest.raises(ValueError, match=r"weak_rate must be above 0 .* got 1\.0 without the branch"):
        detection(weak_rate=1.0).validate()
    with pytest.raises(ValueError, match=r"weak_rate must be above 0 .* got 0\.0 with the branch"):
        detection(network=WEAK).validate()
    with pytest.raises(ValueError, match="giou_weight must be at least 0, got -1"):
        detection(giou_weight=-1.0).validate()
    with pytest.raises(ValueError, match=r"anchor_scale must be above 0 strides, got 0\."):
        detection(anchor_scale=0.0).validate()
    with pytest.raises(ValueError, match="nearest must be at least 1, got 0"):
        detection(nearest=0).validate()
    with pytest.raises(ValueError, match=r"core_rate must be at least 0, got -1\."):
        core_kd(run, core_rate=-1.0).validate()
    wider = MediumFusion(classes=2, depth=10, width=4, pyramid_width=16, levels=3, stacked=1, groups=2, bins=5)
    with pytest.raises(ValueError, match="teacher must have the student's pyramid_width, 8, got 16"):
        core_kd(run, teacher=TrainedNetwork(network=wider, path="stage:wider")).validate()
    with pytest.raises(ValueError, match="teacher must be a detector, got UNet"):
        from jaxkd.vision.segmentation import UNet

        core_kd(run, teacher=TrainedNetwork(network=UNet(), path="stage:unet")).validate()
    with pytest.raises(ValueError, match="accumulation must be 1"):
        Train(
            name="two",
            recipe=detection(),
            steps=1,
            accumulation=2,
            optimizer=Optimizer(learning_rate=1e-2),
            mesh=MeshShape(data=1),
        ).validate()
