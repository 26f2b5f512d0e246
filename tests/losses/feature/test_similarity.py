"""Similarities of all pairs: hand values, what leaves them unchanged, the two estimators of CKA."""

import numpy as np
import pytest

from jaxkd.losses.feature import cka_distance, similarity_preserving
from tests.losses.compiled import compiled
from tests.losses.feature import oracles
from tests.losses.feature.oracles import features

estimators = pytest.mark.parametrize("estimator", ["biased", "unbiased"])


def turned(rows, seed):
    rotation, _ = np.linalg.qr(features(seed, (rows.shape[1],) * 2))
    return rows @ rotation


def cka(*sides, estimator="biased", **arrays):
    return compiled(cka_distance, estimator=estimator)(*sides, **arrays)[0]


def similarity(*sides):
    return compiled(similarity_preserving)(*sides)[0]


def test_hand_values():
    student, teacher = np.eye(2, dtype=np.float32), np.float32([[3], [1]])
    three, one = 3 / 10**0.5, 1 / 10**0.5
    expected = ((1 - three) ** 2 + one**2 + three**2 + (1 - one) ** 2) / 4
    np.testing.assert_allclose(similarity(student, teacher), expected, rtol=1e-6)
    line, steps = np.float32([[-1], [0], [1]]), np.float32([[1], [1], [4]])
    np.testing.assert_allclose(cka(line, steps), 0.25, rtol=1e-6)


def test_equal_similarities_cost_nothing():
    rows = features(0, (6, 3))
    np.testing.assert_allclose(similarity(turned(rows, 1) * 3, rows), 0, atol=1e-12)
    assert similarity(rows + 1, rows) > 1e-3  # it is not centred


def test_similarity_preserving_stays_below_four_over_n():
    one = np.ones((5, 1), np.float32)
    bound = similarity(one, one * np.float32([[1], [-1], [1], [-1], [1]]))
    assert 0.1 < bound <= 4 / 5


@estimators
def test_cka_ignores_rotation_shift_and_scale(estimator):
    rows, other = features(3, (6, 3)), features(4, (6, 4))
    changed = turned(rows, 5) * 3 + 2
    np.testing.assert_allclose(cka(changed, rows, estimator=estimator), 0, atol=1e-6)
    value = cka(rows, other, estimator=estimator)
    np.testing.assert_allclose(cka(changed, other, estimator=estimator), value, rtol=1e-5)
    np.testing.assert_allclose(cka(other, rows, estimator=estimator), value, rtol=1e-5)


def test_cka_of_single_features_is_the_squared_correlation():
    x, y = features(6, (7, 1)), features(7, (7, 1))
    correlation = np.corrcoef(x[:, 0].astype(float), y[:, 0].astype(float))[0, 1]
    np.testing.assert_allclose(cka(x, y), 1 - correlation**2, rtol=1e-5)


def test_with_few_rows_only_the_unbiased_estimate_tells_independent_features_apart():
    pairs = [(features(seed, (6, 300)), features(seed + 50, (6, 300))) for seed in range(8)]
    biased, unbiased = (np.mean([cka(*pair, estimator=name) for pair in pairs]) for name in ("biased", "unbiased"))
    assert biased < 0.1
    assert 0.7 < unbiased < 1.3


@estimators
def test_a_large_mean_does_not_cancel(estimator):
    student, teacher = features(8, (6, 3)) + 1000, features(9, (6, 4))
    oracle = {"biased": oracles.cka, "unbiased": oracles.unbiased_cka}[estimator]
    np.testing.assert_allclose(cka(student, teacher, estimator=estimator), oracle(student, teacher), rtol=1e-4)


@pytest.mark.parametrize(("estimator", "rows"), [("biased", 1), ("unbiased", 3)])
def test_too_few_rows_cost_nothing(estimator, rows):
    student, teacher, run = features(10, (6, 3)), features(11, (6, 4)), compiled(cka_distance, estimator=estimator)
    value, (gradient, _) = run(student, teacher, mask=np.arange(6) < rows)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


def test_two_rows_always_agree():
    np.testing.assert_allclose(cka(features(13, (2, 3)), features(14, (2, 4))), 0, atol=1e-6)


@estimators
def test_a_constant_side_costs_one(estimator):
    constant = np.full((6, 3), 2, np.float32)
    value, (gradient, _) = compiled(cka_distance, estimator=estimator)(constant, features(12, (6, 4)))
    assert value == 1
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_an_unknown_estimator():
    with pytest.raises(ValueError, match=r"estimator must be one of biased, unbiased, got 'debiased'"):
        cka(features(0, (6, 3)), features(1, (6, 3)), estimator="debiased")
