"""Detections from maps, against a loop over candidates."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, softmax

from jaxkd.vision.detection.decoding import decode
from jaxkd.vision.detection.detections import Detections
from jaxkd.vision.detection.maps import DetectionMaps
from tests.vision.detection import detection_oracle as oracle

SIZES, STRIDES, CLASSES, BINS = ((4, 6), (2, 3)), (8, 16), 3, 5
IMAGE = (32, 48)
OPTIONS = {"score_threshold": 0.3, "before": 20, "iou_threshold": 0.5, "count": 15}


def maps(seed, images=3):
    rng = np.random.default_rng(seed)
    return DetectionMaps(
        class_logits=tuple(jnp.asarray(rng.normal(size=(images, *size, CLASSES)), jnp.float32) for size in SIZES),
        edge_logits=tuple(jnp.asarray(rng.normal(size=(images, *size, 4, BINS)), jnp.float32) for size in SIZES),
        tower=tuple(jnp.zeros((images, *size, 1)) for size in SIZES),
        strides=STRIDES,
    )


def looped(given, image, *, score_threshold, before, iou_threshold, count):
    """Class, score and corners of each object that is found, by falling score."""
    candidates = []
    for logits, edges, size, stride in zip(given.class_logits, given.edge_logits, SIZES, STRIDES, strict=True):
        level = []
        centres = oracle.cells((size,), (stride,))
        for place, (x, y, _) in enumerate(centres):
            probs = softmax(np.float64(edges[image].reshape(-1, 4, BINS)[place]), axis=-1)
            left, top, right, bottom = probs @ np.arange(BINS)
            box = np.array([x - left * stride, y - top * stride, x + right * stride, y + bottom * stride])
            box = np.clip(box, 0, [IMAGE[1], IMAGE[0], IMAGE[1], IMAGE[0]])
            for label, z in enumerate(np.float64(logits[image].reshape(-1, CLASSES)[place])):
                level.append((expit(z), label, box))
        candidates += sorted(level, key=lambda one: -one[0])[:before]
    remaining = sorted((one for one in candidates if one[0] > score_threshold), key=lambda one: -one[0])
    found = []
    for score, label, box in remaining:
        if all(label != other or oracle.iou(box, kept) <= iou_threshold for _, other, kept in found):
            found.append((score, label, box))
    return found[:count]


@pytest.mark.parametrize("options", [OPTIONS, {**OPTIONS, "before": 1000, "count": 4}], ids=["", "all candidates"])
def test_equals_a_loop_over_candidates(options):
    given = maps(0)
    found = jax.device_get(decode(given, image_size=IMAGE, **options))
    for image in range(3):
        expected = looped(given, image, **options)
        number = found.mask[image].sum()
        assert number == len(expected) > 3
        assert found.mask[image, :number].all()
        for row, (score, label, box) in enumerate(expected):
            assert found.classes[image, row] == label
            np.testing.assert_allclose(found.scores[image, row], score, rtol=1e-5)
            np.testing.assert_allclose(found.corners[image, row], box, rtol=1e-5, atol=1e-4)
        for field in (found.corners, found.scores, found.classes):
            assert not field[image, number:].any()


def test_hand_values():
    """Two cells of the coarse level, with distances of 1, 0.5, 2 and 0.5 strides."""
    given = jax.tree.map(lambda leaf: jnp.full_like(leaf, -9.0), maps(1, images=1))
    edges = jnp.full((4, BINS), -1e4).at[jnp.array([0, 1, 1, 2, 3, 3]), jnp.array([1, 0, 1, 2, 0, 1])].set(0.0)
    fine, coarse = given.class_logits
    given = DetectionMaps(
        class_logits=(fine, coarse.at[0, 1, 1, 2].set(np.log(4)).at[0, 1, 0, 1].set(0.0)),
        edge_logits=(given.edge_logits[0], jnp.broadcast_to(edges, given.edge_logits[1].shape)),
        tower=given.tower,
        strides=STRIDES,
    )
    found = decode(given, image_size=IMAGE, **OPTIONS)
    assert isinstance(found, Detections)
    np.testing.assert_allclose(found.scores[0, :3], [0.8, 0.5, 0], rtol=1e-6)
    assert found.classes[0, :2].tolist() == [2, 1]
    # Centres at (24, 24) and (8, 24); the image cuts off the right of the first and the left of the second.
    np.testing.assert_allclose(found.corners[0, :2], [[8, 16, 48, 32], [0, 16, 40, 32]], rtol=1e-6)
    assert found.mask[0].tolist() == [True, True] + [False] * 13


def test_scores_that_are_rounded_to_one_are_ordered_by_their_logits():
    given = maps(2, images=1)
    fine = jnp.full_like(given.class_logits[0], -9.0).at[0, 0, 0, 0].set(20.0).at[0, 3, 5, 1].set(30.0)
    given = DetectionMaps(
        class_logits=(fine, jnp.full_like(given.class_logits[1], -9.0)),
        edge_logits=given.edge_logits,
        tower=given.tower,
        strides=STRIDES,
    )
    found = decode(given, image_size=IMAGE, **OPTIONS)
    assert found.scores[0, :2].tolist() == [1, 1]
    assert found.classes[0, :2].tolist() == [1, 0]


def test_nothing_above_the_threshold_and_boxes_without_area_are_not_found():
    given = maps(3)
    nothing = jax.tree.map(lambda leaf: leaf - 100, given)
    assert not decode(nothing, image_size=IMAGE, **OPTIONS).mask.any()
    points = DetectionMaps(
        class_logits=given.class_logits,
        edge_logits=tuple(one.at[..., 0].set(1e4) for one in given.edge_logits),
        tower=given.tower,
        strides=STRIDES,
    )
    assert not decode(points, image_size=IMAGE, **OPTIONS).mask.any()
    broken = jax.tree.map(lambda leaf: leaf * jnp.nan, given)
    assert not decode(broken, image_size=IMAGE, **OPTIONS).mask.any()


def test_images_of_a_batch_do_not_see_one_another_and_bfloat16_is_decoded_in_float32():
    given = maps(4)
    found = decode(given, image_size=IMAGE, **OPTIONS)
    turned = decode(jax.tree.map(lambda leaf: leaf[::-1], given), image_size=IMAGE, **OPTIONS)
    jax.tree.map(lambda one, other: np.testing.assert_array_equal(one[::-1], other), found, turned)
    narrow = decode(jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), given), image_size=IMAGE, **OPTIONS)
    assert narrow.corners.dtype == narrow.scores.dtype == np.float32
    assert narrow.mask.any(axis=1).all()


def test_refuses_levels_that_do_not_agree():
    given = maps(5)
    run = functools.partial(decode, image_size=IMAGE)
    with pytest.raises(ValueError, match=r"edge logits and a stride for each level, got 2, 1 and 2 of them"):
        run(
            DetectionMaps(class_logits=given.class_logits, edge_logits=given.edge_logits[:1], tower=(), strides=STRIDES)
        )
    message = r"edge logits \[b, h, w, 4, bins\] on each level, got \(3, 4, 6, 3\) and \(3, 2, 3, 4, 5\) at stride 8"
    with pytest.raises(ValueError, match=message):
        run(
            DetectionMaps(
                class_logits=given.class_logits, edge_logits=given.edge_logits[::-1], tower=(), strides=STRIDES
            )
        )
    with pytest.raises(ValueError, match=r"before and count must be 1 or more, got 1000 and 0"):
        run(given, count=0)
