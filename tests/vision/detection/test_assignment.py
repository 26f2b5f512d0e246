"""Adaptive training sample selection against loops over anchors and objects."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.records.boxes import Boxes
from jaxkd.vision.detection.assignment import Assignment, assign_cells, atss_assign
from tests.losses.compiled import jitted
from tests.vision.detection import detection_oracle as oracle

SIZES, STRIDES, SCALE, ROWS = ((8, 10), (4, 5), (2, 3), (1, 2)), (8, 16, 32, 64), 4.0, 7
HEIGHT, WIDTH = 64, 80
LEVELS = tuple(height * width for height, width in SIZES)
ANCHORS = oracle.anchors(SIZES, STRIDES, SCALE).astype(np.float32)
SHARE = 0.5


def padded(corners, ignored=(), junk=np.nan):
    """Boxes of one image with rows of junk."""
    rows = np.full((ROWS, 4), junk, np.float32)
    rows[: len(corners)] = corners
    mask, flags = np.arange(ROWS) < len(corners), np.zeros(ROWS, bool)
    flags[list(ignored)] = True
    return Boxes(corners=rows, classes=np.zeros(ROWS, np.int32), mask=mask, ignored=flags)


def image(seed):
    """Up to seven objects, of which some are ignored; half of the images have corners at quarters of pixels."""
    rng = np.random.default_rng(seed)
    count = rng.integers(0, ROWS + 1)
    start = rng.uniform(-6, [WIDTH - 8, HEIGHT - 8], (count, 2))
    sides = np.exp(rng.uniform(np.log(3), np.log(70), (count, 2)))
    corners = np.concatenate([start, start + sides], axis=-1).astype(np.float32)
    if seed % 2:  # distances tie
        corners = np.round(corners * 4) / 4
    return corners, np.flatnonzero(rng.random(count) < 0.2)


@functools.cache
def assign(**options):
    """The compiled function, of the boxes of images."""

    def run(boxes):
        return atss_assign(jnp.asarray(ANCHORS), boxes, level_sizes=LEVELS, **options)

    run = jax.jit(jax.vmap(run))
    return lambda boxes: jax.device_get(run(boxes))


def stacked(images):
    return jax.tree.map(lambda *leaves: np.stack(leaves), *images)


def compare(seeds, **options):
    """Compare the assignments of random images with loops; return how many anchors are positive and ignored."""
    images = [image(seed) for seed in seeds]
    found, share = assign(**options)(stacked([padded(*one) for one in images])), options.get("ignored_share")
    for row, (corners, ignored) in enumerate(images):
        learnt = np.setdiff1d(np.arange(len(corners)), ignored)
        expected, left_out = oracle.atss(
            ANCHORS,
            LEVELS,
            corners[learnt],
            nearest=options.get("nearest", 9),
            ignored_boxes=corners[ignored],
            share=share,
        )
        positive = [one is not None for one in expected]
        assert found.positive[row].tolist() == positive
        assert found.box[row].tolist() == [0 if one is None else learnt[one] for one in expected]
        assert found.ignored[row].tolist() == left_out
    return found.positive.sum(), found.ignored.sum()


def test_hand_values():
    """One level of 3 x 3 anchors of 8 pixels; the object covers the middle one and half of its right neighbour."""
    anchors = oracle.anchors(((3, 3),), (8,), 1).astype(np.float32)
    boxes = padded([[8, 8, 20, 16], [0, 0, 8, 8]])
    one = dataclasses.replace(boxes, mask=np.arange(ROWS) < 1)
    # IoU: 64 / 96, 32 / 128 and seven times 0; mean 0.10, standard deviation 0.23.
    found = jitted(atss_assign, level_sizes=(9,))(anchors, one)
    assert np.flatnonzero(found.positive).tolist() == [4]
    # Of two candidates, the threshold is above both IoU: their mean + 0.71 of their difference.
    assert not jitted(atss_assign, level_sizes=(9,), nearest=2)(anchors, one).positive.any()
    # A single one is its own threshold.
    found = jitted(atss_assign, level_sizes=(9,), nearest=1)(anchors, one)
    assert np.flatnonzero(found.positive).tolist() == [4]
    found = jitted(atss_assign, level_sizes=(9,))(anchors, boxes)
    assert np.flatnonzero(found.positive).tolist() == [0, 4]
    assert found.box[[0, 4]].tolist() == [1, 0]


def test_equals_loops_over_anchors_and_objects():
    positive, ignored = compare(range(60))
    assert positive > 200
    assert ignored == 0
    positive, ignored = compare(range(60, 80), nearest=3, ignored_share=SHARE)
    assert positive > 40
    assert ignored > 20


@pytest.mark.slow
def test_equals_loops_in_a_thousand_images():
    positive, _ = compare(range(100, 1100))
    assert positive > 4000
    positive, ignored = compare(range(100, 400), ignored_share=SHARE)
    assert min(positive, ignored) > 300


def test_an_anchor_of_several_objects_learns_the_greatest_overlap_and_of_equals_the_first():
    first, second = [20.0, 20.0, 44.0, 44.0], [18.0, 22.0, 50.0, 60.0]
    found = assign()(stacked([padded(one) for one in ([first], [second], [first, second], [first, first])]))
    claimed = np.flatnonzero(found.positive[0] & found.positive[1])
    assert len(claimed)
    expected = [int(oracle.iou(ANCHORS[one], second) > oracle.iou(ANCHORS[one], first)) for one in claimed]
    assert found.box[2, claimed].tolist() == expected
    np.testing.assert_array_equal(found.positive[2], found.positive[0] | found.positive[1])
    np.testing.assert_array_equal(found.positive[3], found.positive[0])
    assert not found.box[3].any()


def test_centres_lie_in_their_objects_and_padding_changes_nothing():
    images = [image(seed) for seed in range(200, 220)]
    found = assign()(stacked([padded(*one) for one in images]))
    centres = (ANCHORS[:, :2] + ANCHORS[:, 2:]) / 2
    for row, (corners, _) in enumerate(images):
        for place in np.flatnonzero(found.positive[row]):
            box = corners[found.box[row, place]]
            assert (centres[place] > box[:2]).all()
            assert (centres[place] < box[2:]).all()
    other = assign()(stacked([padded(*one, junk=1e30) for one in images]))
    jax.tree.map(np.testing.assert_array_equal, found, other)


def test_images_without_objects_have_no_positives():
    nothing, crowd = padded(np.zeros((0, 4))), padded([[0, 0, 80, 64]], [0])
    for options in ({}, {"ignored_share": SHARE}):
        found = assign(**options)(stacked([nothing, crowd]))
        assert not found.positive.any()
        assert not found.box.any()
        assert found.ignored.any(axis=1).tolist() == [False, bool(options)]
    empty = Boxes(
        corners=jnp.zeros((0, 4)), classes=jnp.zeros(0, int), mask=jnp.zeros(0, bool), ignored=jnp.zeros(0, bool)
    )
    found = jitted(atss_assign, level_sizes=LEVELS, ignored_share=SHARE)(jnp.asarray(ANCHORS), empty)
    assert not found.positive.any()


def test_objects_without_area_are_not_learnt():
    assert not assign()(stacked([padded([[20, 20, 20, 40], [12, 12, 12, 12]])])).positive.any()


def test_one_compilation_for_any_number_of_objects():
    traces = []

    @jax.jit
    def run(boxes):
        traces.append(boxes)
        return atss_assign(jnp.asarray(ANCHORS), boxes, level_sizes=LEVELS)

    for count in (0, 1, 3, ROWS):
        found = run(padded(np.tile(np.float32([8, 8, 40, 40]), (count, 1))))
        assert bool(found.positive.any()) == (count > 0)
    assert len(traces) == 1


def test_jit_and_vmap_equal_one_image_without_them():
    boxes = padded(*image(301), junk=0.0)
    found = assign(ignored_share=SHARE)(stacked([boxes, padded(*image(303))]))
    alone = atss_assign(jnp.asarray(ANCHORS), jax.tree.map(jnp.asarray, boxes), level_sizes=LEVELS, ignored_share=SHARE)
    jax.tree.map(lambda batch, one: np.testing.assert_array_equal(batch[0], one), found, alone)


def test_cells_are_assigned_as_their_anchors():
    boxes = stacked([padded(*image(seed)) for seed in range(310, 314)])
    cells = jax.jit(lambda boxes: assign_cells(boxes, sizes=SIZES, strides=STRIDES, scale=SCALE))(boxes)
    assert isinstance(cells, Assignment)
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(cells), assign()(boxes))


def test_refuses_other_shapes_and_options():
    anchors, one = jnp.asarray(ANCHORS), jax.tree.map(jnp.asarray, padded(np.float32([[8, 8, 40, 40]])))
    batch = jax.tree.map(lambda leaf: leaf[None], one)
    with pytest.raises(
        ValueError, match=r"boxes must be those of one image, corners \[n, 4\], got \(1, 7, 4\)\. Use jax"
    ):
        atss_assign(anchors, batch, level_sizes=LEVELS)
    for sizes in ((5, 3), (), (*LEVELS, 0)):
        with pytest.raises(ValueError, match=r"number of anchors of each level, 1 or more, got .* of shape \(108, 4\)"):
            atss_assign(anchors, one, level_sizes=sizes)
    with pytest.raises(ValueError, match=r"nearest must be 1 or more, got 0: each object needs candidates"):
        atss_assign(anchors, one, level_sizes=LEVELS, nearest=0)
    with pytest.raises(ValueError, match=r"ignored_share must be None or lie between 0 and 1, got 1\.5"):
        atss_assign(anchors, one, level_sizes=LEVELS, ignored_share=1.5)
    with pytest.raises(ValueError, match=r"boxes must be those of a batch, corners \[b, n, 4\], got \(7, 4\)"):
        assign_cells(one, sizes=SIZES, strides=STRIDES)
    with pytest.raises(ValueError, match=r"sizes and strides must have an entry for each level, got 4 and 3"):
        assign_cells(batch, sizes=SIZES, strides=STRIDES[:3])
