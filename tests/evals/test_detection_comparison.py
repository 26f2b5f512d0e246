"""Intervals of differences in average precision, against a bootstrap that scores each resampled list of images."""

import dataclasses

import numpy as np
import pytest

from jaxkd.evals.detection_comparison import average_precision_interval, paired_average_precision
from jaxkd.metrics import average_precision, match_image


def detector(seed, error, *, images=8, crowds=False):
    """Matches of a detector whose boxes are off by some pixels, of the same objects for every seed."""
    objects, noise = np.random.default_rng(0), np.random.default_rng(seed)
    found = []
    for _ in range(images):
        starts = objects.integers(0, 200, (3, 2)).astype(float)
        corners, classes = np.concatenate([starts, starts + 40], axis=1), objects.integers(0, 2, 3)
        boxes = corners + noise.normal(0, error, (3, 1))
        found.append(match_image(boxes, noise.random(3), classes, corners, classes, truth_ignored=np.full(3, crowds)))
    return found


@pytest.mark.parametrize("metric", ["ap", "ap50", "ap_medium"])
def test_the_interval_is_that_of_lists_of_images_that_are_scored_anew(metric):
    first, second = detector(1, 4.0), detector(2, 8.0)
    found = paired_average_precision([first], [second], metric=metric, samples=25, seed=5, confidence=0.8)

    def score(matches, images):
        size = "medium" if metric == "ap_medium" else "all"
        return float(getattr(average_precision([matches[image] for image in images], ranges=(size,)), metric))

    rows = np.random.default_rng(5).integers(0, 8, (25, 8))
    differences = [score(first, row) - score(second, row) for row in rows]
    np.testing.assert_allclose([found.low, found.high], np.quantile(differences, [0.1, 0.9]), rtol=1e-12)
    assert found.estimate == pytest.approx(score(first, range(8)) - score(second, range(8)))


def test_a_model_against_itself_is_exactly_zero_and_swapping_negates():
    first, second = ([detector(seed, error) for seed in (1, 2, 3)] for error in (4.0, 7.0))
    same = paired_average_precision(first, first, samples=40)
    assert (same.estimate, same.low, same.high) == (0, 0, 0)
    forth, back = (paired_average_precision(*pair, samples=40) for pair in ((first, second), (second, first)))
    assert forth.estimate > 0
    np.testing.assert_allclose([back.estimate, back.low, back.high], [-forth.estimate, -forth.high, -forth.low])


def test_seeds_that_differ_widen_the_interval():
    good, poor, reference = detector(1, 2.0), detector(2, 12.0), detector(3, 6.0)
    mixed = paired_average_precision([good, poor], [reference] * 2, samples=200)
    each = [paired_average_precision([one] * 2, [reference] * 2, samples=200) for one in (good, poor)]
    assert mixed.estimate == pytest.approx((each[0].estimate + each[1].estimate) / 2)
    assert mixed.high - mixed.low > max(one.high - one.low for one in each)
    assert each[0].excludes_zero
    assert not mixed.excludes_zero


def test_resamples_without_an_object_that_counts_have_no_difference():
    empty = detector(1, 0.0, images=2, crowds=True)
    first, second = detector(1, 0.0, images=1) + empty, detector(1, 300.0, images=1) + empty
    # All boxes of the second and third image lie on crowds.
    found = paired_average_precision([first], [second], samples=400)
    assert (found.estimate, found.low, found.high) == (1, 0, 1)


def test_the_interval_of_a_model_is_that_of_its_difference_from_a_blind_one():
    one, blind = [detector(1, 4.0)], [detector(1, 1e6)]
    found, difference = average_precision_interval(one, samples=50), paired_average_precision(one, blind, samples=50)
    assert 0 < found.low < found.estimate < found.high
    assert found == difference


def test_other_images_and_seeds_are_refused():
    one, other = detector(1, 4.0), detector(2, 4.0)
    for first, second in (([one], [one, other]), ([], [])):
        with pytest.raises(ValueError, match="first and second must have the same training seeds, got"):
            paired_average_precision(first, second)
    for first, second in ((one, other[:4]), (one[:1], other[:1])):
        with pytest.raises(ValueError, match="first and second must have the same images, at least 2, got"):
            paired_average_precision([first], [second])
    crowded = [dataclasses.replace(image, counted=~image.counted) for image in other]
    for second in (other[::-1], crowded):
        with pytest.raises(ValueError, match="first and second must have the same objects in each image, got 3 and 3"):
            paired_average_precision([one], [second])
    with pytest.raises(ValueError, match="samples must be at least 1, got 0"):
        paired_average_precision([one], [other], samples=0)
