"""Distances between attention: hand values, laws, masked keys, heads, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.losses import forward_kl
from jaxkd.losses.feature import attention_kl, attention_mse, value_relation_kl
from tests.losses.feature.oracles import features

of_scores = pytest.mark.parametrize("distance", [attention_mse, attention_kl])


def causal(length):
    return jnp.tril(jnp.ones((1, length, length), bool))


def test_hand_values():
    student = jnp.log(jnp.array([[[[0.5, 0.5]], [[0.25, 0.75]]]]))  # one row, two heads, a query, two keys
    teacher = jnp.log(jnp.array([[[[0.75, 0.25]], [[0.75, 0.25]]]]))
    first, second = 0.75 * np.log(1.5) + 0.25 * np.log(0.5), 0.5 * np.log(3)
    np.testing.assert_allclose(attention_kl(student, teacher), [[(first + second) / 2]], rtol=1e-6)
    mean = 0.75 * np.log(0.75 / 0.375) + 0.25 * np.log(0.25 / 0.625)
    np.testing.assert_allclose(attention_kl(student, teacher, heads="mean"), [[mean]], rtol=1e-6)
    squares = (np.log(1.5) ** 2 + np.log(2) ** 2) / 2, np.log(3) ** 2
    np.testing.assert_allclose(attention_mse(student, teacher), [[np.mean(squares)]], rtol=1e-6)
    values = jnp.array([[[[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]]]])  # 4 / sqrt(4) with itself, 0 otherwise
    relation = jnp.array([[[[2.0, 0.0], [0.0, 0.0]]]])
    np.testing.assert_allclose(
        value_relation_kl(jnp.zeros((1, 1, 2, 3)), values), attention_kl(jnp.zeros((1, 1, 2, 2)), relation), rtol=1e-6
    )


@of_scores
def test_is_zero_between_equals_and_positive_otherwise(distance):
    scores = features(0, (2, 2, 3, 4))
    np.testing.assert_allclose(distance(scores, scores), 0, atol=1e-6)
    assert (distance(scores, features(1, (2, 2, 3, 4))) > 0.01).all()


def test_kl_ignores_a_constant_and_mse_does_not():
    student, teacher = features(2, (2, 2, 3, 4)), features(3, (2, 2, 3, 4))
    np.testing.assert_allclose(attention_kl(student + 3.0, teacher), attention_kl(student, teacher), rtol=1e-5)
    np.testing.assert_allclose(attention_mse(student + 3.0, student), 9, rtol=1e-5)


def test_kl_is_forward_kl_over_the_keys():
    student, teacher = features(4, (3, 4)), features(5, (3, 4))
    np.testing.assert_array_equal(attention_kl(student[None], teacher[None]), forward_kl(student, teacher))


def test_a_rotation_of_the_values_changes_no_relation():
    values = features(6, (2, 2, 3, 4))
    rotation, _ = jnp.linalg.qr(features(7, (4, 4)))
    wider = jnp.concatenate([values @ rotation, jnp.zeros_like(values)], axis=-1) * 2**0.25
    np.testing.assert_allclose(value_relation_kl(wider, values), 0, atol=1e-6)


@of_scores
@pytest.mark.parametrize("junk", [7.0, -jnp.inf, jnp.nan])
def test_masked_keys_are_as_if_cut_off(distance, junk):
    student, teacher = features(8, (2, 2, 3, 4)), features(9, (2, 2, 3, 4))
    mask = jnp.broadcast_to(jnp.arange(6) < 4, (2, 1, 6))
    padded = [jnp.pad(side, ((0, 0),) * 3 + ((0, 2),), constant_values=junk) for side in (student, teacher)]
    np.testing.assert_allclose(distance(*padded, mask=mask), distance(student, teacher), rtol=1e-6)
    everywhere = jnp.broadcast_to(mask, (2, 3, 6))
    np.testing.assert_array_equal(distance(*padded, mask=everywhere), distance(*padded, mask=mask))
    gradient = jax.grad(lambda s: distance(s, teacher).sum())(student)
    padded_gradient = jax.grad(lambda s: distance(s, padded[1], mask=mask).sum())(padded[0])
    np.testing.assert_allclose(padded_gradient[..., :4], gradient, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(padded_gradient[..., 4:], 0)


@pytest.mark.parametrize("heads", ["matched", "mean"])
def test_a_causal_mask_is_the_same_as_scores_of_minus_infinity(heads):
    student, teacher, mask = features(10, (2, 2, 4, 4)), features(11, (2, 2, 4, 4)), causal(4)
    by_mask = jax.value_and_grad(
        lambda s: attention_kl(s, teacher, mask=jnp.broadcast_to(mask, (2, 4, 4)), heads=heads).sum()
    )(student)
    impossible = jnp.where(mask[:, None], 0.0, -jnp.inf)
    by_score = jax.value_and_grad(lambda s: attention_kl(s + impossible, teacher + impossible, heads=heads).sum())(
        student
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), by_mask, by_score)


def test_kl_is_infinite_where_only_the_student_cannot_attend():
    scores = features(12, (1, 1, 2, 3))
    lacking = scores.at[0, 0, 0, 1].set(-jnp.inf)
    np.testing.assert_array_equal(jnp.isinf(attention_kl(lacking, scores)), [[True, False]])
    assert jnp.isfinite(attention_kl(scores, lacking)).all()


def test_masked_positions_are_related_to_none():
    student, teacher = features(13, (2, 2, 5, 3)), features(14, (2, 2, 5, 4))
    mask = jnp.broadcast_to(jnp.arange(5) < 3, (2, 1, 5))
    truncated = value_relation_kl(student[:, :, :3], teacher[:, :, :3])
    np.testing.assert_allclose(value_relation_kl(student, teacher, mask=mask)[:, :3], truncated, rtol=1e-5)
    gradient = jax.grad(lambda s: value_relation_kl(s, teacher, mask=mask)[:, :3].sum())(student)
    np.testing.assert_array_equal(gradient[:, :, 3:], 0)


@pytest.mark.parametrize("distance", [attention_mse, attention_kl, value_relation_kl])
@pytest.mark.parametrize("heads", ["matched", "mean"])
def test_a_query_without_keys_costs_nothing(distance, heads):
    student, teacher = features(15, (2, 2, 3, 3)), features(16, (2, 2, 3, 3))
    value, gradient = jax.value_and_grad(
        lambda s: distance(s, teacher, mask=jnp.zeros((2, 1, 3), bool), heads=heads).sum()
    )(student)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


@of_scores
def test_means_over_heads_ignore_their_order_and_number(distance):
    student, teacher = features(17, (2, 3, 3, 4)), features(18, (2, 2, 3, 4))
    value = distance(student, teacher, heads="mean")
    np.testing.assert_allclose(distance(student[:, ::-1], teacher, heads="mean"), value, rtol=1e-5)
    twice = jnp.concatenate([teacher, teacher], axis=1)
    np.testing.assert_allclose(distance(student, twice, heads="mean"), value, rtol=1e-5)
    one = student[:, :1], teacher[:, :1]
    np.testing.assert_allclose(distance(*one, heads="mean"), distance(*one), rtol=1e-5)


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
            distance(student, longer)
        more = features(3, (2, 4, *student.shape[2:]))
        with pytest.raises(
            ValueError, match=rf'teacher_{what} must have the heads of student_{what}, 2, got 4. Pass heads="mean"'
        ):
            distance(student, more)
        with pytest.raises(ValueError, match=r"heads must be one of matched, mean, got 'max'"):
            distance(student, student, heads="max")
        with pytest.raises(ValueError, match=r"mask must have shape \(2, 3, \d\), or 1 for 3 .* got \(2, 2, 3, 4\)"):
            distance(student, student, mask=jnp.ones((2, 2, 3, 4), bool))
