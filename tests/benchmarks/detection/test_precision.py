"""Rows of average precision by hand."""

import numpy as np
import pytest

from benchmarks.detection.precision import by_condition, difference
from jaxkd.metrics import match_image
from jaxkd.training.results.evaluation import Evaluation
from jaxkd.training.results.matched_image import MatchedImage

BOX, ONE = np.array([[0.0, 0.0, 10.0, 10.0]]), np.array([0])


def evaluation(*, found):
    """Two images of the day and two of the night with an object each, which is found or not."""
    matches = tuple(
        MatchedImage.from_matches(match_image(BOX + (0.0 if right else 50.0), np.array([0.9]), ONE, BOX, ONE))
        for right in found
    )
    metrics = {"ap50": 0.25, "ap50_day": 0.5, "ap50_night": 0.0}
    keys = tuple(f"test-{place}-{name}" for place, name in enumerate(("day", "day", "night", "night")))
    return Evaluation(metrics=metrics, keys=keys, matches=matches)


def test_conditions_are_those_that_keys_end_with():
    whole, day, night = by_condition("plain", (evaluation(found=(True, True, False, False)),), ("day", "night"))
    assert (whole.figure, day.figure, night.figure) == ("plain: AP50", "plain: AP50, day", "plain: AP50, night")
    assert (day.value, night.value, night.interval) == (1.0, 0.0, (0.0, 0.0))
    # Half are found.  At equal scores, detections stay in the order of their images, so the right ones come first.
    assert whole.value == pytest.approx(51 / 101)
    assert day.samples == (0.5,)


def test_a_difference_that_is_sure():
    all_found, none = (evaluation(found=(right,) * 4) for right in (True, False))
    mean, low, share = difference("a - b", (all_found,), (none,))
    assert (mean.value, low.value, share.value) == (1.0, 1.0, 1.0)
    assert difference("b - a", (none,), (all_found,))[2].value == 0.0
    assert low.figure == "a - b, lower end of the interval"
