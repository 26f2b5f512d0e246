"""Similarities of all pairs: hand values, what leaves them unchanged, the two estimators of CKA."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.losses.feature import cka_distance, similarity_preserving
from tests.losses.feature import oracles
from tests.losses.feature.oracles import features

estimators = pytest.mark.parametrize("estimator", ["biased", "unbiased"])


def turned(rows, seed):
    rotation, _ = jnp.linalg.qr(features(seed, (rows.shape[1],) * 2))
    return rows @ rotation


def test_hand_values():
    student, teacher = jnp.eye(2), jnp.array([[3.0], [1.0]])
    three, one = 3 / 10**0.5, 1 / 10**0.5
    expected = ((1 - three) ** 2 + one**2 + three**2 + (1 - one) ** 2) / 4
    np.testing.assert_allclose(similarity_preserving(student, teacher), expected, rtol=1e-6)
    line, steps = jnp.array([[-1.0], [0.0], [1.0]]), jnp.array([[1.0], [1.0], [4.0]])
    np.testing.assert_allclose(cka_distance(line, steps), 0.25, rtol=1e-6)


def test_equal_similarities_cost_nothing():
    rows = features(0, (5, 3))
    np.testing.assert_allclose(similarity_preserving(turned(rows, 1) * 3, rows), 0, atol=1e-12)
    assert similarity_preserving(rows + 1, rows) > 1e-3  # it is not centred


def test_similarity_preserving_stays_below_four_over_n():
    rows = features(2, (5, 1))
    bound = similarity_preserving(rows * 0 + 1, jnp.array([[1.0], [-1.0], [1.0], [-1.0], [1.0]]))
    assert 0.1 < bound <= 4 / 5


@estimators
def test_cka_ignores_rotation_shift_and_scale(estimator):
    rows, other = features(3, (6, 3)), features(4, (6, 4))
    changed = turned(rows, 5) * 3 + 2
    np.testing.assert_allclose(cka_distance(changed, rows, estimator=estimator), 0, atol=1e-6)
    value = cka_distance(rows, other, estimator=estimator)
    np.testing.assert_allclose(cka_distance(changed, other, estimator=estimator), value, rtol=1e-5)
    np.testing.assert_allclose(cka_distance(other, rows, estimator=estimator), value, rtol=1e-5)


def test_cka_of_single_features_is_the_squared_correlation():
    x, y = features(6, (7, 1)), features(7, (7, 1))
    correlation = np.corrcoef(np.float64(x)[:, 0], np.float64(y)[:, 0])[0, 1]
    np.testing.assert_allclose(cka_distance(x, y), 1 - correlation**2, rtol=1e-5)


def test_with_few_rows_only_the_unbiased_estimate_tells_independent_features_apart():
    pairs = [(features(seed, (6, 300)), features(seed + 50, (6, 300))) for seed in range(8)]
    biased = np.mean([cka_distance(*pair) for pair in pairs])
    unbiased = np.mean([cka_distance(*pair, estimator="unbiased") for pair in pairs])
    assert biased < 0.1
    assert 0.7 < unbiased < 1.3


@estimators
def test_a_large_mean_does_not_cancel(estimator):
    student, teacher = features(8, (6, 3)) + 1000.0, features(9, (6, 4))
    oracle = {"biased": oracles.cka, "unbiased": oracles.unbiased_cka}[estimator]
    np.testing.assert_allclose(cka_distance(student, teacher, estimator=estimator), oracle(student, teacher), rtol=1e-4)


@pytest.mark.parametrize(("estimator", "rows"), [("biased", 1), ("unbiased", 3)])
def test_too_few_rows_cost_nothing(estimator, rows):
    student, teacher = features(10, (6, 3)), features(11, (6, 4))
    mask = jnp.arange(6) < rows
    value, gradient = jax.value_and_grad(lambda s: cka_distance(s, teacher, mask=mask, estimator=estimator))(student)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


def test_two_rows_always_agree():
    np.testing.assert_allclose(cka_distance(features(13, (2, 3)), features(14, (2, 4))), 0, atol=1e-6)


@estimators
def test_a_constant_side_costs_one(estimator):
    value, gradient = jax.value_and_grad(lambda s: cka_distance(s, features(12, (6, 4)), estimator=estimator))(
        jnp.full((6, 3), 2.0)
    )
    assert value == 1
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_an_unknown_estimator():
    with pytest.raises(ValueError, match=r"estimator must be one of biased, unbiased, got 'debiased'"):
        cka_distance(features(0, (6, 3)), features(1, (6, 3)), estimator="debiased")
