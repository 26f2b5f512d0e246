"""Distances between attention: hand values, laws, masked keys, heads, errors."""

import jax
import numpy as np
import pytest

from jaxkd.losses import forward_kl
from jaxkd.losses.feature import attention_kl, attention_mse, value_relation_kl
from tests.losses.compiled import compiled
from tests.losses.feature.oracles import features

of_scores = pytest.mark.parametrize("distance", [attention_mse, attention_kl])
SCORES, PADDED = (2, 2, 3, 4), ((0, 0), (0, 0), (0, 0), (0, 2))
NARROW, WIDE = (2, 2, 3, 4), (2, 2, 3, 8)


def test_hand_values():
    student = np.log([[[[0.5, 0.5]], [[0.25, 0.75]]]])  # one row, two heads, a query, two keys
    teacher = np.log([[[[0.75, 0.25]], [[0.75, 0.25]]]])
    first, second = 0.75 * np.log(1.5) + 0.25 * np.log(0.5), 0.5 * np.log(3)
    mean = 0.75 * np.log(0.75 / 0.375) + 0.25 * np.log(0.25 / 0.625)
    squares = (np.log(1.5) ** 2 + np.log(2) ** 2) / 2, np.log(3) ** 2
    values = np.array([[[[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]]]])  # 4 / sqrt(4) with itself, 0 otherwise
    p = np.exp([2, 0]) / np.exp([2, 0]).sum()
    with jax.enable_x64(True):
        for distance, sides, options, expected in (
            (attention_kl, (student, teacher), {}, (first + second) / 2),
            (attention_kl, (student, teacher), {"heads": "mean"}, mean),
            (attention_mse, (student, teacher), {}, np.mean(squares)),
            (value_relation_kl, (np.zeros((1, 1, 2, 3)), values), {}, [(p * np.log(2 * p)).sum(), 0]),
        ):
            value, _ = compiled(distance, **options)(*sides)
            np.testing.assert_allclose(value[0], np.atleast_1d(expected), rtol=1e-12, atol=1e-15)


@of_scores
def test_is_zero_between_equals_and_positive_otherwise(distance):
    scores, run = features(0, SCORES), compiled(distance)
    np.testing.assert_allclose(run(scores, scores)[0], 0, atol=1e-6)
    assert (run(scores, features(1, SCORES))[0] > 0.01).all()


def test_kl_ignores_a_constant_and_mse_does_not():
    student, teacher, kl = features(2, SCORES), features(3, SCORES), compiled(attention_kl)
    np.testing.assert_allclose(kl(student + 3, teacher)[0], kl(student, teacher)[0], rtol=1e-5)
    np.testing.assert_allclose(compiled(attention_mse)(student + 3, student)[0], 9, rtol=1e-5)


def test_kl_is_forward_kl_over_the_keys():
    student, teacher = (features(seed, SCORES).astype(np.float64) for seed in (4, 5))
    with jax.enable_x64(True):
        found, by_head = (compiled(distance)(student, teacher)[0] for distance in (attention_kl, forward_kl))
    np.testing.assert_allclose(found, by_head.mean(1), rtol=1e-13)


def test_a_rotation_of_the_values_changes_no_relation():
    values = features(6, NARROW)
    rotation, _ = np.linalg.qr(features(7, (4, 4)))
    wider = np.concatenate([values @ rotation, np.zeros_like(values)], axis=-1) * np.float32(2**0.25)
    np.testing.assert_allclose(compiled(value_relation_kl)(wider, values)[0], 0, atol=1e-6)


@of_scores
@pytest.mark.parametrize("junk", [7.0, -np.inf, np.nan])
def test_masked_keys_are_as_if_cut_off(distance, junk):
    sides, run = (features(8, SCORES), features(9, SCORES)), compiled(distance)
    mask = np.broadcast_to(np.arange(6) < 4, (2, 1, 6))
    padded = [np.pad(side, PADDED, constant_values=junk) for side in sides]
    value, (gradient, _) = run(*sides)
    for each in (mask, np.broadcast_to(mask, (2, 3, 6))):
        padded_value, (padded_gradient, _) = run(*padded, mask=each)
        np.testing.assert_allclose(padded_value, value, rtol=1e-6)
        np.testing.assert_allclose(padded_gradient[..., :4], gradient, rtol=1e-5, atol=1e-7)
        np.testing.assert_array_equal(padded_gradient[..., 4:], 0)


@pytest.mark.parametrize("heads", ["matched", "mean"])
def test_a_causal_mask_is_the_same_as_scores_of_minus_infinity(heads):
    student, teacher, run = features(10, SCORES), features(11, SCORES), compiled(attention_kl, heads=heads)
    mask = np.tri(3, 4, dtype=bool)
    by_mask = run(student, teacher, mask=np.broadcast_to(mask, (2, 3, 4)))
    by_score = run(*(np.where(mask, side, -np.inf) for side in (student, teacher)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), by_mask, by_score)


def test_kl_is_infinite_where_only_the_student_cannot_attend():
    scores, kl = features(12, SCORES), compiled(attention_kl)
    lacking = scores.copy()
    lacking[0, 0, 0, 1] = -np.inf
    np.testing.assert_array_equal(np.isinf(kl(lacking, scores)[0]), [[True, False, False], [False] * 3])
    assert np.isfinite(kl(scores, lacking)[0]).all()


def test_masked_positions_are_related_to_none():
    student, teacher, run = features(13, (2, 2, 5, 8)), features(14, (2, 2, 5, 4)), compiled(value_relation_kl)
    kept = np.arange(5) < 3
    value, (gradient, _) = run(student, teacher, mask=np.broadcast_to(kept[:, None] & kept, (2, 5, 5)))
    truncated, (truncated_gradient, _) = run(student[:, :, :3], teacher[:, :, :3])
    np.testing.assert_allclose(value[:, :3], truncated, rtol=1e-5)
    np.testing.assert_allclose(gradient[:, :, :3], truncated_gradient, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(value[:, 3:], 0)
    np.testing.assert_array_equal(gradient[:, :, 3:], 0)
    value, _ = run(student, teacher, mask=np.broadcast_to(kept, (2, 1, 5)))
    np.testing.assert_allclose(value[:, :3], truncated, rtol=1e-5)


@pytest.mark.parametrize("distance", [attention_mse, attention_kl, value_relation_kl])
@pytest.mark.parametrize("heads", ["matched", "mean"])
def test_a_query_without_keys_costs_nothing(distance, heads):
    student, teacher = features(15, (2, 2, 5, 5)), features(16, (2, 2, 5, 5))
    value, (gradient, _) = compiled(distance, heads=heads)(student, teacher, mask=np.zeros((2, 1, 5), bool))
    np.testing.assert_array_equal(value, 0)
    np.testing.assert_array_equal(gradient, 0)


@of_scores
def test_means_over_heads_ignore_their_order_and_number(distance):
    student, teacher, mean = features(17, SCORES), features(18, SCORES), compiled(distance, heads="mean")
    value, _ = mean(student, teacher)
    np.testing.assert_allclose(mean(student[:, ::-1], teacher)[0], value, rtol=1e-5)
    np.testing.assert_allclose(mean(student, np.concatenate([teacher, teacher], axis=1))[0], value, rtol=1e-5)
    alike = [np.repeat(side[:, :1], 2, axis=1) for side in (student, teacher)]
    np.testing.assert_allclose(mean(*alike)[0], compiled(distance)(*alike)[0], rtol=1e-5)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_what_cannot_be_compared():
    scores, values = features(0, (2, 2, 3, 4)), features(1, (2, 2, 3, 5))
    for distance, student, axes in (
        (attention_mse, scores, r"\(2, 3, 4\), got \(2, 9, 4\)"),
        (attention_kl, scores, r"\(2, 3, 4\), got \(2, 9, 4\)"),
        (value_relation_kl, values, r"\(2, 3\), got \(2, 9\)"),
    ):
        what = "values" if distance is value_relation_kl else "scores"
        longer = features(2, (2, 2, 9, student.shape[-1]))
        with pytest.raises(
            ValueError, match=rf"teacher_{what} must have the rows and positions of student_{what}, {axes}. Align"
        ):
            compiled(distance)(student, longer)
        more = features(3, (2, 4, *student.shape[2:]))
        with pytest.raises(
            ValueError, match=rf'teacher_{what} must have the heads of student_{what}, 2, got 4. Pass heads="mean"'
        ):
            compiled(distance)(student, more)
        with pytest.raises(ValueError, match=r"heads must be one of matched, mean, got 'max'"):
            compiled(distance, heads="max")(student, student)
        with pytest.raises(ValueError, match=r"mask must have shape \(2, 3, \d\), or 1 for 3 .* got \(2, 2, 3, 4\)"):
            compiled(distance)(student, student, mask=np.ones((2, 2, 3, 4), bool))
