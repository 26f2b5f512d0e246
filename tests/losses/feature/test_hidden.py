"""Distances between hidden states: hand values, what they have in common, projection, mask, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxkd.losses import masked_mean
from jaxkd.losses.feature import hidden_cosine, hidden_mse
from tests.losses.feature.oracles import features

STUDENT, TEACHER = jnp.array([[3.0, 4.0], [1.0, 0.0]]), jnp.array([[6.0, 8.0], [0.0, 2.0]])
both = pytest.mark.parametrize("distance", [hidden_mse, hidden_cosine])


def test_hand_values():
    np.testing.assert_allclose(hidden_mse(STUDENT, TEACHER), [12.5, 2.5], rtol=1e-6)
    np.testing.assert_allclose(hidden_mse(STUDENT, TEACHER, normalization="l2"), [0.0, 1.0], atol=1e-6)
    np.testing.assert_allclose(hidden_cosine(STUDENT, TEACHER), [0.0, 1.0], atol=1e-6)
    np.testing.assert_allclose(hidden_cosine(STUDENT, -TEACHER), [2.0, 1.0], atol=1e-6)


def test_equal_states_have_distance_zero():
    states = features(0, (5, 4))
    np.testing.assert_array_equal(hidden_mse(states, states), 0)
    np.testing.assert_array_equal(hidden_mse(states, states, normalization="l2"), 0)
    np.testing.assert_allclose(hidden_cosine(states, states), 0, atol=1e-6)


def test_normalized_mse_is_the_cosine_distance_times_two_over_the_width():
    student, teacher = features(1, (5, 4)), features(2, (5, 4))
    normalized = hidden_mse(student, teacher, normalization="l2")
    np.testing.assert_allclose(normalized, hidden_cosine(student, teacher) * 2 / 4, rtol=1e-5)


@both
def test_projection_maps_the_student_and_is_trained(distance):
    student, teacher, projection = features(3, (5, 3)), features(4, (5, 4)), features(5, (3, 4))
    by_hand = distance(student @ projection, teacher)
    np.testing.assert_allclose(distance(student, teacher, projection=projection), by_hand, rtol=1e-5)

    def total(projection):
        return distance(student, teacher, projection=projection).sum()

    assert (jnp.abs(jax.grad(total)(projection)) > 1e-4).all()
    check_grads(jax.jit(total), (projection,), order=1, modes=["rev"], rtol=2e-2, atol=2e-2, eps=1e-3)


def test_projection_of_bfloat16_states_is_summed_in_float32():
    student, teacher = features(6, (4, 256)).astype(jnp.bfloat16), features(7, (4, 2)).astype(jnp.bfloat16)
    projection = features(8, (256, 2)).astype(jnp.bfloat16)
    exact = hidden_mse(*(side.astype(jnp.float32) for side in (student, teacher)), projection=projection)
    np.testing.assert_allclose(hidden_mse(student, teacher, projection=projection), exact, rtol=1e-5)


@both
def test_masked_positions_are_as_if_cut_off(distance):
    student, teacher = features(9, (5, 4)), features(10, (5, 4))

    def mean(student, mask):
        return masked_mean(distance(student, teacher), mask)

    mask = jnp.arange(5) < 3
    value, gradient = jax.value_and_grad(mean)(student, mask)
    np.testing.assert_allclose(value, distance(student[:3], teacher[:3]).mean(), rtol=1e-6)
    np.testing.assert_array_equal(gradient[3:], 0)
    value, gradient = jax.value_and_grad(mean)(student, jnp.zeros(5, bool))
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("options", [{}, {"normalization": "l2"}])
def test_a_vector_of_zeros_has_no_direction(options):
    zeros, teacher = jnp.zeros((1, 4)), features(11, (1, 4))
    distance = hidden_mse if options else hidden_cosine
    value, gradient = jax.value_and_grad(lambda s: distance(s, teacher, **options).sum())(zeros)
    np.testing.assert_allclose(value, 1 / 4 if options else 1, rtol=1e-6)
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_lengths_neither_overflow_nor_vanish(scale):
    student, teacher = features(12, (5, 4)), features(13, (5, 4))
    np.testing.assert_allclose(
        hidden_cosine(student * scale, teacher * scale), hidden_cosine(student, teacher), rtol=1e-5
    )
    gradient = jax.grad(lambda s: hidden_cosine(s, teacher).sum())(student * scale)
    direction = jax.grad(lambda s: hidden_cosine(s, teacher).sum())(student)
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
