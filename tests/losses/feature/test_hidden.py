"""Distances between hidden states: hand values, what they have in common, projection, mask, errors."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.losses import masked_mean
from jaxkd.losses.feature import hidden_cosine, hidden_mse
from tests.losses.compiled import assert_equals_finite_differences, compiled
from tests.losses.feature.oracles import features

STUDENT, TEACHER = np.float32([[3, 4], [1, 0]]), np.float32([[6, 8], [0, 2]])
both = pytest.mark.parametrize("distance", [hidden_mse, hidden_cosine])
mse, normalized_mse, cosine = compiled(hidden_mse), compiled(hidden_mse, normalization="l2"), compiled(hidden_cosine)


def test_hand_values():
    np.testing.assert_allclose(mse(STUDENT, TEACHER)[0], [12.5, 2.5], rtol=1e-6)
    np.testing.assert_allclose(normalized_mse(STUDENT, TEACHER)[0], [0.0, 1.0], atol=1e-6)
    np.testing.assert_allclose(cosine(STUDENT, TEACHER)[0], [0.0, 1.0], atol=1e-6)
    np.testing.assert_allclose(cosine(STUDENT, -TEACHER)[0], [2.0, 1.0], atol=1e-6)


def test_equal_states_have_distance_zero():
    states = features(0, (5, 4))
    np.testing.assert_array_equal(mse(states, states)[0], 0)
    # Both sides are divided by their lengths, where a compiler may round each in its own way: by 2 epsilon a component.
    epsilon = np.finfo(np.float32).eps
    np.testing.assert_allclose(normalized_mse(states, states)[0], 0, atol=(4 * epsilon) ** 2)
    np.testing.assert_allclose(cosine(states, states)[0], 0, atol=1e-6)


def test_normalized_mse_is_the_cosine_distance_times_two_over_the_width():
    student, teacher = features(1, (5, 4)), features(2, (5, 4))
    np.testing.assert_allclose(normalized_mse(student, teacher)[0], cosine(student, teacher)[0] * 2 / 4, rtol=1e-5)


@both
def test_projection_maps_the_student_and_is_trained(distance):
    student, teacher, projection = features(3, (5, 3)), features(4, (5, 4)), features(5, (3, 4))

    def projected(projection):
        return distance(jnp.asarray(student), jnp.asarray(teacher), projection=projection)

    run = compiled(projected)
    value, (gradient,) = run(projection)
    np.testing.assert_allclose(value, compiled(distance)(student @ projection, teacher)[0], rtol=1e-5)
    assert (np.abs(gradient) > 1e-4).all()
    assert_equals_finite_differences(run, projection, rtol=2e-2, atol=2e-2, eps=1e-3)


def test_projection_of_bfloat16_states_is_summed_in_float32():
    sides = [features(seed, (4, width)).astype(jnp.bfloat16) for seed, width in ((6, 256), (7, 2))]
    projection = features(8, (256, 2)).astype(jnp.bfloat16)
    exact, _ = mse(*(side.astype(np.float32) for side in sides), projection=projection)
    np.testing.assert_allclose(mse(*sides, projection=projection)[0], exact, rtol=1e-5)


@both
def test_masked_positions_are_as_if_cut_off(distance):
    student, teacher, mask = features(9, (5, 4)), features(10, (5, 4)), np.arange(5) < 3

    def mean(student, teacher, *, mask):
        return masked_mean(distance(student, teacher), mask)

    value, (gradient, _) = compiled(mean)(student, teacher, mask=mask)
    np.testing.assert_allclose(value, compiled(distance)(student[:3], teacher[:3])[0].mean(), rtol=1e-6)
    np.testing.assert_array_equal(gradient[3:], 0)
    value, (gradient, _) = compiled(mean)(student, teacher, mask=np.zeros(5, bool))
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize(("distance", "cost"), [(normalized_mse, 1 / 4), (cosine, 1)], ids=["l2", "cosine"])
def test_a_vector_of_zeros_has_no_direction(distance, cost):
    value, (gradient, _) = distance(np.zeros((5, 4), np.float32), features(11, (5, 4)))
    np.testing.assert_allclose(value, cost, rtol=1e-6)
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("scale", np.float32([1e-30, 1e30]))
def test_lengths_neither_overflow_nor_vanish(scale):
    student, teacher = features(12, (5, 4)), features(13, (5, 4))
    value, (direction, _) = cosine(student, teacher)
    np.testing.assert_allclose(cosine(student * scale, teacher * scale)[0], value, rtol=1e-5)
    _, (gradient, _) = cosine(student * scale, teacher)
    np.testing.assert_allclose(gradient * scale, direction, rtol=1e-4, atol=1e-6)


@both
@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_what_cannot_be_compared(distance):
    student = features(0, (2, 7, 3))
    with pytest.raises(
        ValueError,
        match=r"teacher must have the leading shape of student, got \(2, 9, 3\) and \(2, 7, 3\). Only the widths",
    ):
        distance(student, features(1, (2, 9, 3)))
    with pytest.raises(
        ValueError,
        match=r"teacher must have the width of student, 3, got 4. Pass a projection, a matrix of shape \(3, 4\)",
    ):
        distance(student, features(1, (2, 7, 4)))
    with pytest.raises(
        ValueError, match=r"projection must have shape \(3, 4\), the widths of student and teacher, got \(4, 3\)"
    ):
        distance(student, features(1, (2, 7, 4)), projection=features(2, (4, 3)))


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_an_unknown_normalization():
    with pytest.raises(ValueError, match=r"normalization must be one of none, l2, got 'layer'"):
        hidden_mse(STUDENT, TEACHER, normalization="layer")  # pyright: ignore[reportArgumentType]
