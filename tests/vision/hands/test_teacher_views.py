"""Labels that a teacher's predictions in several views become: exact ones stay, and no rule knows the views' order."""

from typing import get_args

import jax
import numpy as np
import pytest

from jaxkd.vision.hands.prediction import HandPrediction
from jaxkd.vision.hands.teacher_views import FusionRule, found_views, fused_labels, fused_points
from tests.vision.tiny_hand_views import views

FRAMES, SIDE = 4, 32
TRUTH = views(FRAMES, SIDE)
RULES = get_args(FusionRule)
every_rule = pytest.mark.parametrize("rule", RULES)


def weights(rule):
    return (0.5, 0.3, 0.2) if rule == "weighted" else ()


def found(*, stretch=1.0, confidence=0.9):
    """Exact predictions but for depths, which are stretched."""
    points = TRUTH.points * np.array([1, 1, stretch], np.float32)
    sure = np.broadcast_to(np.asarray(confidence, np.float32), TRUTH.known.shape)
    prediction = HandPrediction(pixels=TRUTH.pixels, points=points, confidence=sure)
    return jax.tree.map(np.asarray, found_views(prediction, TRUTH, side=SIDE))


@every_rule
def test_exact_predictions_are_the_labels(rule):
    labels = fused_labels(found(), rule, side=SIDE, weights=weights(rule))
    assert labels.known.all()
    # float32 of coordinates up to a metre, and of a solve whose condition is that of rays 0.4 radians apart.
    np.testing.assert_allclose(labels.points, TRUTH.points, atol=2e-6)
    np.testing.assert_allclose(labels.pixels, TRUTH.pixels, atol=2e-4)
    if rule == "triangulated":
        np.testing.assert_allclose(labels.root_depth, TRUTH.root_depth, rtol=1e-5)
    else:
        assert np.isnan(labels.root_depth).all()
    for name in ("rotation", "translation", "focal", "centre"):
        np.testing.assert_allclose(getattr(labels, name), getattr(TRUTH, name), rtol=1e-6)


def test_triangulation_needs_no_depth_of_the_teacher():
    error = {
        rule: np.abs(fused_labels(found(stretch=1.5), rule, side=SIDE).points - TRUTH.points).max()
        for rule in ("triangulated", "mean", "none")
    }
    assert error["triangulated"] < 2e-6
    assert 2e-3 < error["mean"] < error["none"]


@every_rule
def test_labels_of_a_larger_crop_show_the_same(rule):
    small, large = (fused_labels(found(), rule, side=side, weights=weights(rule)) for side in (SIDE, 2 * SIDE))
    np.testing.assert_allclose(large.pixels, (small.pixels + 0.5) * 2 - 0.5, atol=1e-4)
    np.testing.assert_allclose(large.centre, (small.centre + 0.5) * 2 - 0.5, atol=1e-4)
    np.testing.assert_array_equal(large.points, small.points)


@every_rule
def test_the_order_of_views_changes_nothing(rule):
    order = np.array([2, 0, 1])
    one = found(stretch=1.3, confidence=np.array([0.9, 0.6, 0.8]))
    other = jax.tree.map(lambda leaf: leaf[:, order], one)
    given = weights(rule)
    expected, _ = fused_points(one, rule, weights=given)
    points, _ = fused_points(other, rule, weights=tuple(given[view] for view in order) if given else ())
    np.testing.assert_allclose(points, np.asarray(expected)[:, order], atol=1e-6)


def test_views_that_are_not_sure_do_not_count():
    unsure = found(stretch=1.5, confidence=np.array([0.9, 0.9, 0.2]))
    alone = fused_labels(unsure, "none", side=SIDE)
    np.testing.assert_array_equal(alone.known, np.broadcast_to([True, True, False], alone.known.shape))
    pair = fused_labels(unsure, "agreeing_pair", side=SIDE)
    assert pair.known.all()
    two = jax.tree.map(lambda leaf: leaf[:, :2], unsure)
    np.testing.assert_allclose(pair.points[:, :2], fused_labels(two, "mean", side=SIDE).points, atol=1e-6)
    nobody = found(confidence=0.0)
    for rule in RULES:
        labels = fused_labels(nobody, rule, side=SIDE, weights=weights(rule))
        assert not labels.known.any()
        assert np.isfinite(labels.points).all()
        assert np.isfinite(labels.pixels).all()


def test_a_teacher_without_confidence_is_sure():
    prediction = HandPrediction(pixels=TRUTH.pixels, points=TRUTH.points)
    assert (np.asarray(found_views(prediction, TRUTH, side=SIDE).confidence) == 1).all()


def test_refusals():
    given = found()
    with pytest.raises(ValueError, match=r"fusion must be one of none, mean, .*, got 'median'\."):
        fused_points(given, "median")
    with pytest.raises(
        ValueError, match=r"weights must be given for each of 3 views with 'weighted', and not else, got 2 with 'wei"
    ):
        fused_points(given, "weighted", weights=(0.5, 0.5))
    with pytest.raises(ValueError, match=r"and not else, got 3 with 'mean'\."):
        fused_points(given, "mean", weights=(1.0, 1.0, 1.0))
