"""Non-maximum suppression against a greedy loop over lists."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.geometry import nms
from tests.losses.compiled import jitted

NUMBER, CLASSES, COUNT = 24, 3, 12


def iou(one, other):
    both = np.maximum(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0).prod()
    union = (one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod() - both
    return both / union if union > 0 else 0.0


def greedy(corners, scores, classes, *, mask, threshold, count):
    """Indices of the kept boxes: the best one that remains, until none does."""
    corners = np.asarray(corners, np.float64)
    remaining, kept = [index for index in range(len(scores)) if mask[index]], []
    while remaining and len(kept) < count:
        best = max(remaining, key=lambda index: (scores[index], -index))
        kept.append(best)
        remaining = [
            index
            for index in remaining
            if index != best
            and not (classes[index] == classes[best] and iou(corners[index], corners[best]) > threshold)
        ]
    return kept


def candidates(seed):
    """Crowded boxes, with scores of which many are equal."""
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 6, (NUMBER, 2))
    corners = np.concatenate([start, start + rng.integers(1, 7, (NUMBER, 2))], axis=-1).astype(np.float32)
    scores = rng.integers(0, 12, NUMBER).astype(np.float32) / 12
    return corners, scores, rng.integers(0, CLASSES, NUMBER).astype(np.int32), rng.random(NUMBER) < 0.8


def suppressed(corners, scores, classes, mask, *, threshold=0.4, count=COUNT):
    """Indices that are kept, as a list."""
    found, kept = jitted(nms, threshold=threshold, count=count)(corners, scores, classes, mask=mask)
    assert found.shape == kept.shape == (count,)
    total = int(kept.sum())
    assert kept[:total].all()
    assert not found[total:].any()
    return found[:total].tolist()


def test_hand_values():
    corners = np.float32([[0, 0, 4, 4], [0, 0, 4, 5], [0, 0, 4, 4], [8, 8, 9, 9], [0, 0, 2, 4]])
    scores, classes, mask = np.float32([0.5, 0.9, 0.7, 0.1, 0.6]), np.int32([0, 0, 1, 0, 0]), np.ones(5, bool)
    # 0 overlaps 1 by 16 / 20; 2 is of another class; 4 overlaps 1 by 8 / 20.
    assert suppressed(corners, scores, classes, mask, count=8) == [1, 2, 4, 3]
    assert suppressed(corners, scores, classes, mask, threshold=0.39, count=8) == [1, 2, 3]
    assert suppressed(corners, scores, classes, mask, threshold=1.0, count=8) == [1, 2, 4, 0, 3]
    assert suppressed(corners, scores, classes, mask, count=2) == [1, 2]
    without = np.array([True, False, True, True, True])
    assert suppressed(corners, scores, classes, without, count=8) == [2, 4, 3]  # 4 overlaps 0 by 8 / 16


def test_equals_a_greedy_loop():
    for seed in range(60):
        corners, scores, classes, mask = candidates(seed)
        for threshold in (0.4, 0.61):
            expected = greedy(corners, scores, classes, mask=mask, threshold=threshold, count=COUNT)
            assert suppressed(corners, scores, classes, mask, threshold=threshold) == expected


def test_what_is_kept_does_not_overlap_and_what_is_not_overlaps_something_better():
    corners, scores, classes, mask = candidates(100)
    found = suppressed(corners, scores, classes, mask, count=NUMBER)
    assert 3 < len(found) < mask.sum()
    assert [scores[index] for index in found] == sorted((scores[index] for index in found), reverse=True)
    for index in np.flatnonzero(mask):
        better = [
            one for one in found if classes[one] == classes[index] and scores[one] >= scores[index] and one != index
        ]
        assert any(iou(corners[index], corners[one]) > 0.4 for one in better) == (index not in found)


def test_equal_scores_are_kept_in_the_order_of_their_index():
    corners = np.float32([[0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3], [0, 0, 1, 1]])
    found = suppressed(corners, np.zeros(4, np.float32), np.zeros(4, np.int32), np.ones(4, bool), count=4)
    assert found == [0, 1]


def test_masked_candidates_may_hold_anything_and_there_may_be_none():
    corners, scores, classes, mask = candidates(101)
    expected = suppressed(corners, scores, classes, mask)
    broken = np.where(mask[:, None], corners, np.nan), np.where(mask, scores, np.nan), np.where(mask, classes, 99)
    assert suppressed(*broken, mask) == expected
    high = np.where(mask[:, None], corners, 0), np.where(mask, scores, np.inf).astype(np.float32), classes
    assert suppressed(*high, mask) == expected
    cut = suppressed(corners[mask], scores[mask], classes[mask], mask[mask])
    assert np.flatnonzero(mask)[cut].tolist() == expected
    assert suppressed(corners, scores, classes, np.zeros(NUMBER, bool)) == []
    found, kept = nms(jnp.ones((0, 4)), jnp.ones(0), jnp.ones(0, int), mask=jnp.ones(0, bool), threshold=0.5, count=2)
    assert (found.tolist(), kept.tolist()) == ([0, 0], [False, False])


def test_boxes_without_area_and_infinite_or_bfloat16_scores():
    corners = np.float32([[1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 4, 4]])
    classes, mask = np.zeros(3, np.int32), np.ones(3, bool)
    assert suppressed(corners, np.float32([-np.inf, 1, 2]), classes, mask, count=5) == [2, 1, 0]
    assert suppressed(corners, np.float32([np.nan, 1, 2]), classes, mask, count=5) == [2, 1, 0]
    narrow = corners.astype(jnp.bfloat16), np.array([0.25, 0.5, 1], jnp.bfloat16)
    assert suppressed(*narrow, classes, mask, count=5) == [2, 1, 0]


def test_no_gradient_passes_and_vmap_equals_a_loop():
    sets = [np.stack(arrays) for arrays in zip(*map(candidates, range(102, 106)), strict=True)]

    def run(corners, scores, classes, mask):
        return nms(corners, scores, classes, mask=mask, threshold=0.4, count=COUNT)

    found, kept = jitted(jax.vmap(run))(*sets)
    for index, (*arrays, mask) in enumerate(zip(*sets, strict=True)):
        expected = jitted(nms, threshold=0.4, count=COUNT)(*arrays, mask=mask)
        np.testing.assert_array_equal(found[index], expected[0])
        np.testing.assert_array_equal(kept[index], expected[1])
    one = [jnp.asarray(arrays[0]) for arrays in sets]
    np.testing.assert_array_equal(run(*one)[0], found[0])

    def total(corners, scores):
        indices, kept = run(corners, scores, *one[2:])
        return jnp.sum(jnp.where(kept, scores[indices], 0)) + 0 * jnp.sum(corners)

    to_corners, to_scores = jitted(jax.grad(total, argnums=(0, 1)))(*one[:2])
    assert not to_corners.any()
    np.testing.assert_array_equal(np.flatnonzero(to_scores), np.sort(found[0][kept[0]]))


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_other_shapes_and_no_rows():
    corners, scores, classes, mask = map(jnp.asarray, candidates(107))
    run = functools.partial(nms, threshold=0.5, count=3)
    message = (
        r"mask must be \[n, 4\], \[n\], \[n\] and \[n\], got \(24, 4\), \(23,\), \(24,\) and \(24,\)\. Use jax\.vmap"
    )
    with pytest.raises(ValueError, match=message):
        run(corners, scores[1:], classes, mask=mask)
    with pytest.raises(ValueError, match=r"must be \[n, 4\], \[n\], \[n\] and \[n\], got \(24, 3\)"):
        run(corners[:, :3], scores, classes, mask=mask)
    with pytest.raises(ValueError, match=r"count must be 1 or more, got 0: it is the number of rows"):
        nms(corners, scores, classes, mask=mask, threshold=0.5, count=0)
