"""Areas and overlaps of boxes against pixels that are counted, and the distances of their edges."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.geometry import (
    aligned_iou,
    box_areas,
    boxes_from_distances,
    clipped,
    edge_distances,
    generalised_iou,
    pairwise_iou,
)
from tests.losses.compiled import assert_equals_finite_differences, compiled, jitted

SIDE = 12
COUNT = 40
NOTHING = np.float32([[3, 3, 3, 3], [3, 3, 3, 3], [0, 0, 0, 5], [2, 1, 1, 2], [0, 0, 4, 4], [1, 1, 1, 1]])
"""Boxes without area: equal points, a line, an inverted box, and two pairs with a box that has one."""
OTHERS = np.float32([[3, 3, 3, 3], [9, 3, 9, 3], [0, 2, 0, 9], [0, 0, 3, 3], [4, 4, 4, 4], [0, 0, 4, 4]])


def boxes(seed, count=COUNT, side=SIDE):
    """Corners at integers, many of them of boxes that overlap."""
    ends = np.random.default_rng(seed).integers(0, side, (count, 2, 2))
    start, end = ends.min(axis=1), ends.max(axis=1) + 1
    return np.concatenate([start, end], axis=-1).astype(np.float32)


def real_boxes(seed, dtype=np.float32):
    """Corners in no particular place, no two edges of which are equal."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 5, (COUNT, 2))
    return np.concatenate([start, start + rng.uniform(1, 8, (COUNT, 2))], axis=-1).astype(dtype)


def pixels(box):
    """The pixels that a box with corners at integers covers."""
    left, top, right, bottom = map(int, box)
    return {(x, y) for x in range(left, right) for y in range(top, bottom)}


def counted_iou(one, other):
    return len(pixels(one) & pixels(other)) / len(pixels(one) | pixels(other))


def counted_giou(one, other):
    around = pixels((*np.minimum(one, other)[:2], *np.maximum(one, other)[2:]))
    return counted_iou(one, other) - (len(around) - len(pixels(one) | pixels(other))) / len(around)


def exact(first, second, *, generalised):
    """IoU or GIoU in float64, from the lengths that two intervals share."""
    values = []
    for (l1, t1, r1, b1), (l2, t2, r2, b2) in zip(np.float64(first), np.float64(second), strict=True):
        both = max(0, min(r1, r2) - max(l1, l2)) * max(0, min(b1, b2) - max(t1, t2))
        union = (r1 - l1) * (b1 - t1) + (r2 - l2) * (b2 - t2) - both
        around = (max(r1, r2) - min(l1, l2)) * (max(b1, b2) - min(t1, t2))
        values.append(both / union - generalised * (around - union) / around)
    return np.array(values)


OVERLAPS = {
    "aligned_iou": (aligned_iou, counted_iou, functools.partial(exact, generalised=False)),
    "generalised_iou": (generalised_iou, counted_giou, functools.partial(exact, generalised=True)),
}
every_overlap = pytest.mark.parametrize(("function", "counted", "oracle"), OVERLAPS.values(), ids=OVERLAPS)


def test_hand_values():
    first = jnp.array([[0.0, 0.0, 4.0, 2.0], [0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 4.0, 4.0]])
    second = jnp.array([[2.0, 0.0, 6.0, 2.0], [2.0, 2.0, 3.0, 3.0], [1.0, 1.0, 3.0, 3.0]])
    assert box_areas(first).tolist() == [8, 1, 16]
    np.testing.assert_allclose(aligned_iou(first, second), [4 / 12, 0, 4 / 16], rtol=1e-6)
    np.testing.assert_allclose(generalised_iou(first, second), [4 / 12, -7 / 9, 4 / 16], rtol=1e-6)
    expected = [[1 / 3, 0, 2 / 10], [0, 0, 0], [4 / 20, 1 / 16, 4 / 16]]
    np.testing.assert_allclose(pairwise_iou(first, second), expected, rtol=1e-6)
    points = jnp.array([[1.0, 1.0], [3.0, 3.0]])
    assert edge_distances(points, second[:2]).tolist() == [[-1, 1, 5, 1], [1, 1, 0, 0]]
    assert boxes_from_distances(points, first[:2]).tolist() == [[1, 1, 5, 3], [3, 3, 4, 4]]
    outside = jnp.array([[-2.0, -1.0, 3.0, 9.0], [7.0, 8.0, 9.0, 9.0]])
    assert clipped(outside, height=4, width=6).tolist() == [[0, 0, 3, 4], [6, 4, 6, 4]]


@every_overlap
def test_overlaps_equal_counted_pixels(function, counted, oracle):
    del oracle
    first, second = boxes(0), boxes(1)
    expected = [counted(*pair) for pair in zip(first, second, strict=True)]
    assert min(expected) < 0.01
    assert max(expected) > 0.4
    np.testing.assert_allclose(jitted(function)(first, second), expected, rtol=1e-6, atol=1e-7)
    assert jitted(box_areas)(first).tolist() == [len(pixels(box)) for box in first]


def test_all_pairs_equal_the_aligned_ones_and_counted_pixels():
    first, second = boxes(2, 7), boxes(3, 5)
    found = jitted(pairwise_iou)(first, second)
    np.testing.assert_allclose(found, [[counted_iou(one, other) for other in second] for one in first], rtol=1e-6)
    np.testing.assert_array_equal(np.diag(found), jitted(aligned_iou)(first[:5], second))
    np.testing.assert_array_equal(jitted(pairwise_iou)(second, first).T, found)


@every_overlap
def test_overlaps_equal_float64_numpy(function, counted, oracle):
    del counted
    first, second = real_boxes(4), real_boxes(5)
    found = jitted(function)(first, second)
    np.testing.assert_allclose(found, oracle(first, second), rtol=1e-5, atol=1e-6)
    assert found.dtype == np.float32
    with jax.enable_x64(True):
        found = jitted(function)(np.float64(first), np.float64(second))
        np.testing.assert_allclose(found, oracle(first, second), rtol=1e-12, atol=1e-15)
        assert found.dtype == np.float64


@every_overlap
def test_overlaps_are_symmetric_and_unchanged_by_moves_and_scales(function, counted, oracle):
    del counted, oracle
    first, second, overlap = boxes(6), boxes(7), jitted(function)
    found = overlap(first, second)
    np.testing.assert_array_equal(overlap(second, first), found)
    np.testing.assert_array_equal(overlap(first, first), 1)
    np.testing.assert_allclose(overlap(first * 8 + 3, second * 8 + 3), found, rtol=1e-6, atol=1e-7)
    turned = [one[..., [1, 0, 3, 2]] for one in (first, second)]
    np.testing.assert_array_equal(overlap(*turned), found)
    assert (jitted(generalised_iou)(first, second) <= jitted(aligned_iou)(first, second)).all()
    assert (jitted(generalised_iou)(first, second) > -1).all()


@every_overlap
def test_gradients_of_overlaps_equal_finite_differences(function, counted, oracle):
    del counted, oracle
    with jax.enable_x64(True):
        arrays = real_boxes(8, np.float64), real_boxes(9, np.float64)
        for at in (0, 1):
            assert_equals_finite_differences(compiled(function), *arrays, at=at, rtol=1e-6, atol=1e-8, eps=1e-6)


def test_boxes_that_do_not_touch_are_moved_by_the_generalised_overlap_alone():
    far = np.float32([[0, 0, 1, 1]]), np.float32([[3, 0, 4, 1]])
    _, (gradient, _) = compiled(aligned_iou)(*far)
    np.testing.assert_array_equal(gradient, 0)
    _, (gradient, _) = compiled(generalised_iou)(*far)
    assert gradient[0, 2] > 0  # to the right, where the other box is


@every_overlap
def test_boxes_without_area_have_finite_overlaps_and_gradients(function, counted, oracle):
    del counted, oracle
    found, gradients = compiled(function)(NOTHING, OTHERS)
    assert np.isfinite(found).all()
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    np.testing.assert_array_equal(compiled(aligned_iou)(NOTHING, OTHERS)[0], 0)
    areas, (gradient,) = compiled(box_areas)(NOTHING)
    assert areas.tolist() == [0, 0, 0, 0, 16, 0]
    assert np.isfinite(gradient).all()


def test_distances_and_boxes_undo_each_other_and_signs_say_what_lies_inside():
    corners = boxes(10)
    points = np.random.default_rng(11).integers(0, SIDE, (COUNT, 2)) + np.float32(0.5)
    distances = jitted(edge_distances)(points, corners)
    back = jitted(boxes_from_distances)(points, distances)
    np.testing.assert_array_equal(back, corners)
    np.testing.assert_array_equal(jitted(edge_distances)(points, back), distances)
    inside = [tuple(map(int, point)) in pixels(box) for point, box in zip(points, corners, strict=True)]
    assert 0 < sum(inside) < COUNT
    assert (distances > 0).all(axis=-1).tolist() == inside


def test_gradients_of_distances_and_boxes_are_signs():
    points, edges = np.float32([[2, 3]]), np.float32([[1, 1, 4, 5]])
    _, (to_points, to_edges) = compiled(edge_distances)(points, edges)
    assert to_points.tolist() == [[0, 0]]
    assert to_edges.tolist() == [[-1, -1, 1, 1]]
    _, (to_points, to_edges) = compiled(boxes_from_distances)(points, edges)
    assert to_points.tolist() == [[2, 2]]
    assert to_edges.tolist() == [[-1, -1, 1, 1]]
    _, (gradient,) = compiled(clipped, height=4, width=6)(np.float32([[-1, 1, 7, 3]]))
    assert gradient.tolist() == [[0, 1, 0, 1]]
    _, (gradient,) = compiled(box_areas)(np.float32([[0, 0, 2, 3]]))
    assert gradient.tolist() == [[-3, -2, 3, 2]]


def test_clipped_boxes_cover_the_pixels_of_the_image():
    corners = boxes(12) * 2 - SIDE // 2
    clip = jitted(clipped, height=8, width=10)
    found = clip(corners)
    image = {(x, y) for x in range(10) for y in range(8)}
    assert [pixels(box) for box in found] == [pixels(box) & image for box in corners]
    np.testing.assert_array_equal(clip(found), found)
    assert any(not pixels(box) for box in found)


def test_large_and_bfloat16_corners_are_computed_in_float32():
    first, second, points = boxes(13), boxes(14), np.full((COUNT, 2), 256.5, np.float32)
    for function in map(jitted, (aligned_iou, generalised_iou, pairwise_iou)):
        expected = function(first, second)
        found = function(first.astype(jnp.bfloat16), second.astype(jnp.bfloat16))
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)  # small integers are exact in bfloat16
        found = function(first * np.float32(1e4), second * np.float32(1e4))
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
    for function in (jitted(box_areas), jitted(clipped, height=8, width=10)):
        found = function(first.astype(jnp.bfloat16))
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, function(first))
    for function in map(jitted, (edge_distances, boxes_from_distances)):
        found = function(points, first.astype(jnp.bfloat16))
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, function(points, first))


def test_jit_and_vmap_change_nothing():
    first, second = boxes(15, 8), boxes(16, 8)
    points = np.random.default_rng(17).normal(size=(8, 2)).astype(np.float32)
    for function, arrays in (
        (box_areas, (first,)),
        (functools.partial(clipped, height=8, width=10), (first,)),
        (aligned_iou, (first, second)),
        (generalised_iou, (first, second)),
        (edge_distances, (points, first)),
        (boxes_from_distances, (points, first)),
    ):
        expected = function(*map(jnp.asarray, arrays))
        np.testing.assert_allclose(jitted(function)(*arrays), expected, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(jitted(jax.vmap(function))(*arrays), expected, rtol=1e-6, atol=1e-7)
    halves = [one.reshape(2, 4, 4) for one in (first, second)]
    expected = [pairwise_iou(*map(jnp.asarray, pair)) for pair in zip(*halves, strict=True)]
    np.testing.assert_allclose(jitted(jax.vmap(pairwise_iou))(*halves), expected, rtol=1e-6)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_other_shapes():
    one, many = jnp.ones((3, 4)), jnp.ones((2, 3, 4))
    edges = r"right and bottom edge on its last axis, shape \[\.\.\., 4\], got \(3, 2\)"
    for refused in (
        lambda: box_areas(one[:, :2]),
        lambda: aligned_iou(one[:, :2], one),
        lambda: pairwise_iou(one, one[:, :2]),
        lambda: edge_distances(one[:, :2], one[:, :2]),
        lambda: clipped(one[:, :2], height=2, width=2),
    ):
        with pytest.raises(ValueError, match=edges):
            refused()
    with pytest.raises(
        ValueError, match=r"must be \[n, 4\] and \[m, 4\], got \(2, 3, 4\) and \(3, 4\)\. Use jax\.vmap"
    ):
        pairwise_iou(many, one)
    for function in (aligned_iou, generalised_iou):
        with pytest.raises(ValueError, match=r"second must have the shape of first, got \(3, 4\) and \(2, 3, 4\)"):
            function(many, one)
    with pytest.raises(ValueError, match=r"an x and a y for each row of corners, got \(3, 2\) and \(2, 3, 4\)"):
        edge_distances(one[:, :2], many)
    with pytest.raises(ValueError, match=r"an x and a y for each row of distances, got \(3, 4\) and \(3, 4\)"):
        boxes_from_distances(one, one)
    with pytest.raises(ValueError, match=r"height and width must be > 0, got 0 and 5"):
        clipped(one, height=0, width=5)
