"""Generalized focal loss of a batch against loops over cells, and its denominators."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.records.boxes import Boxes
from jaxkd.vision.detection.assignment import assign_cells
from jaxkd.vision.detection.gfl_loss import GFLSums, gfl_losses
from jaxkd.vision.detection.maps import DetectionMaps
from tests.losses.compiled import assert_equals_finite_differences, compiled
from tests.vision.detection import detection_oracle as oracle

SIZES, STRIDES, CLASSES, BINS, ROWS = ((4, 6), (2, 3)), (8, 16), 3, 9, 3
LEVELS = tuple(height * width for height, width in SIZES)
SCALE, SHARE = 3.0, 0.4
FIELDS = tuple(field.name for field in dataclasses.fields(GFLSums))
OBJECTS = (
    np.float32([[2, 3, 30, 28], [20, 8, 47, 31]]),
    np.float32([[1, 1, 12, 30], [14, 2, 40, 20], [0, 0, 24, 32]]),
    np.zeros((0, 4), np.float32),
)
IGNORED = ((), (2,), ())


def boxes(junk=np.nan):
    """Two objects; two and one that is ignored; none."""
    corners = np.full((3, ROWS, 4), junk, np.float32)
    classes, mask, ignored = np.full((3, ROWS), 99, np.int32), np.zeros((3, ROWS), bool), np.zeros((3, ROWS), bool)
    for row, (found, left_out) in enumerate(zip(OBJECTS, IGNORED, strict=True)):
        corners[row, : len(found)] = found
        mask[row, : len(found)] = True
        classes[row, : len(found)] = np.arange(len(found))[::-1]
        ignored[row, list(left_out)] = True
    return Boxes(corners=corners, classes=classes, mask=mask, ignored=ignored)


def logits(seed, dtype=np.float32):
    """Logits of classes and edges of each level; the boxes are about as large as the objects."""
    rng = np.random.default_rng(seed)

    def drawn(*shape):
        return rng.normal(size=shape).astype(np.float32).astype(dtype)

    return (
        tuple(drawn(3, *size, CLASSES) for size in SIZES),
        tuple(drawn(3, *size, 4, BINS) - np.arange(BINS, dtype=dtype) / 2 for size in SIZES),
    )


def sums(class_logits, edge_logits, objects, **options):
    maps = DetectionMaps(class_logits=class_logits, edge_logits=edge_logits, tower=class_logits, strides=STRIDES)
    return gfl_losses(maps, objects, assign_cells(objects, sizes=SIZES, strides=STRIDES, scale=SCALE, **options))


def stacked(given, objects, **options):
    """The five sums, [5, b]."""
    found = sums(*given, objects, **options)
    return jnp.stack([getattr(found, name) for name in FIELDS])


def exact(given, share=None):
    """The five sums of each image, from loops over cells; [5, b]."""
    every, values = oracle.anchors(SIZES, STRIDES, SCALE).astype(np.float32), []
    for row, (objects, left_out) in enumerate(zip(OBJECTS, IGNORED, strict=True)):
        learnt = np.setdiff1d(np.arange(len(objects)), left_out)
        found, ignored = oracle.atss(
            every, LEVELS, objects[learnt], nearest=9, ignored_boxes=objects[list(left_out)], share=share
        )
        classes, edges = (np.concatenate([one[row].reshape(-1, *one.shape[3:]) for one in levels]) for levels in given)
        values.append(
            oracle.gfl(
                classes,
                edges,
                found,
                ignored,
                objects[learnt],
                np.arange(len(objects))[::-1][learnt],
                sizes=SIZES,
                strides=STRIDES,
            )
        )
    return np.stack(values, axis=-1)


@pytest.mark.parametrize("share", [None, SHARE])
def test_equals_loops_over_cells(share):
    given = logits(0)
    expected = exact(given, share)
    assert (expected[3, :2] > 2).all()
    found = compiled(stacked, **({} if share is None else {"ignored_share": share}))(given, objects=boxes())[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    if share is not None:
        assert expected[0, 1] < exact(given)[0, 1]


def test_hand_value():
    """One cell of one image, whose box is predicted twice as long as its object."""
    one = Boxes(
        corners=jnp.array([[[0.0, 0.0, 8.0, 8.0]]]),
        classes=jnp.zeros((1, 1), int),
        mask=jnp.ones((1, 1), bool),
        ignored=jnp.zeros((1, 1), bool),
    )
    near, far = [0.0, 0.0, -20.0], [-20.0, 0.0, 0.0]  # half a stride, and one and a half
    edges = jnp.array([near, near, far, near]).reshape(1, 1, 1, 4, 3)
    maps = DetectionMaps(class_logits=(jnp.zeros((1, 1, 1, 2)),), edge_logits=(edges,), tower=(), strides=(8,))
    found = jax.jit(gfl_losses)(maps, one, assign_cells(one, sizes=[(1, 1)], strides=(8,)))
    # From 0 to 2 strides in x and 0 to 1 in y: an IoU of 1/2, which is the score of the class already.
    np.testing.assert_allclose(found.quality, [np.log(2) / 4], rtol=1e-6)
    np.testing.assert_allclose(found.giou, [0.5 * 0.5], rtol=1e-6)
    # Each edge of the object is half a stride away: half of bin 0, whose probability to the right is exp(-20) / 2.
    np.testing.assert_allclose(found.distribution, [0.5 * (4 * np.log(2) + 0.5 * 20) / 4], rtol=1e-5)
    assert (found.positives.tolist(), found.weights.tolist()) == ([1], [0.5])


def test_the_loss_divides_by_the_batch_and_parts_add_up_to_it():
    found = GFLSums(**dict(zip(FIELDS, compiled(stacked)(logits(1), objects=boxes())[0], strict=True)))
    values = {name: getattr(found, name).sum() for name in FIELDS}
    expected = values["quality"] / values["positives"]
    boxes_part = 2 * values["giou"] + 0.25 * values["distribution"]
    expected += boxes_part / max(values["weights"], 1)
    np.testing.assert_allclose(found.loss(), expected, rtol=1e-6)
    parts = [jax.tree.map(lambda leaf: leaf[kept], found) for kept in (slice(0, 1), slice(1, 3))]  # noqa: B023
    totals = {"positives": jnp.asarray(values["positives"]), "weights": jnp.asarray(values["weights"])}
    np.testing.assert_allclose(sum(part.loss(**totals) for part in parts), expected, rtol=1e-6)
    alone = found.loss(giou_weight=0.0, distribution_weight=0.0)
    np.testing.assert_allclose(alone, values["quality"] / values["positives"], rtol=1e-6)


def test_positives_are_known_without_a_network():
    cells = jax.jit(lambda one: assign_cells(one, sizes=SIZES, strides=STRIDES, scale=SCALE))(boxes())
    found, _ = compiled(stacked)(logits(2), objects=boxes())
    np.testing.assert_array_equal(cells.positive.sum(axis=1), found[FIELDS.index("positives")])


def test_padding_changes_nothing_and_neither_do_other_images():
    given = logits(3)
    expected, _ = compiled(stacked)(given, objects=boxes())
    found, _ = compiled(stacked)(given, objects=boxes(junk=5.0))
    np.testing.assert_array_equal(found, expected)
    turned, _ = compiled(stacked)(jax.tree.map(lambda leaf: leaf[::-1], given), objects=reversed_images())
    np.testing.assert_allclose(turned[:, ::-1], expected, rtol=1e-6)
    assert not expected[1:, 2].any()  # without objects
    assert expected[0, 2] > 0


def reversed_images():
    return jax.tree.map(lambda leaf: leaf[::-1], boxes())


def weighted(class_logits, edge_logits, *, objects, shares):
    """The sums of quality and of what boxes cost, each with its share."""
    found = sums(class_logits, edge_logits, objects)
    return shares[0] * found.quality + shares[1] * (found.giou + found.distribution)


def test_gradients_equal_finite_differences_and_none_pass_through_quality_and_weights():
    with jax.enable_x64(True):
        given = logits(5, np.float64)
        for at, shares in enumerate(np.eye(2)):
            run = functools.partial(compiled(weighted), objects=boxes(), shares=shares)
            _, gradients = run(*given)
            assert_equals_finite_differences(run, *given, at=at, rtol=1e-6, atol=1e-7, eps=1e-5)
            assert not any(one.any() for one in gradients[1 - at])


def test_a_batch_without_objects_has_a_finite_loss_and_gradient():
    nothing = dataclasses.replace(boxes(), mask=np.zeros((3, ROWS), bool))
    found, ((class_gradients, edge_gradients),) = compiled(stacked)(logits(4), objects=nothing)
    assert (found[0] > 0).all()
    assert not found[1:].any()
    assert all(np.isfinite(one).all() and one.any() for one in class_gradients)
    assert not any(one.any() for one in edge_gradients)
    loss = GFLSums(**dict(zip(FIELDS, found, strict=True))).loss()
    np.testing.assert_allclose(loss, found[0].sum(), rtol=1e-6)


def test_bfloat16_is_computed_in_float32():
    narrow = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.bfloat16), logits(6))
    assert jax.eval_shape(stacked, narrow, boxes()).dtype == np.float32


def test_refuses_boxes_of_other_images_and_levels_that_do_not_agree():
    class_logits, edge_logits = jax.tree.map(jnp.asarray, logits(7))
    objects = jax.tree.map(jnp.asarray, boxes())
    maps = DetectionMaps(class_logits=class_logits, edge_logits=edge_logits, tower=class_logits, strides=STRIDES)
    assignment = assign_cells(objects, sizes=SIZES, strides=STRIDES, scale=SCALE)
    message = r"boxes must be those of the maps' 3 images, corners \[b, n, 4\], got "
    for part, shape in ((slice(2), r"\(2, 3, 4\)"), (0, r"\(3, 4\)")):
        with pytest.raises(ValueError, match=message + shape):
            gfl_losses(maps, jax.tree.map(lambda leaf, part=part: leaf[part], objects), assignment)
    with pytest.raises(
        ValueError, match=r"assignment must have an entry for each of 30 cells in 3 images, got \(3, 24"
    ):
        gfl_losses(maps, objects, jax.tree.map(lambda leaf: leaf[:, :24], assignment))
    with pytest.raises(ValueError, match=r"edge logits and a stride for each level, got 1, 2 and 2 of them"):
        sums(class_logits[:1], edge_logits, objects)
