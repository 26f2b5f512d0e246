"""Relational distillation: hand values, what leaves relations unchanged, equal rows, memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.losses.feature import rkd_angle, rkd_distance
from tests.losses.feature import oracles
from tests.losses.feature.oracles import features
from tests.memory import largest_array

LINE, TRIANGLE = jnp.array([[0.0], [1.0], [2.0]]), jnp.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]])
both = pytest.mark.parametrize("loss", [rkd_distance, rkd_angle])


def test_hand_values():
    line, triangle = np.array([0.75, 1.5, 0.75]), np.array([3, 3, 18**0.5])
    gaps = line - triangle / triangle.mean()
    np.testing.assert_allclose(rkd_distance(LINE, TRIANGLE), np.mean(gaps**2 / 2), rtol=1e-6)
    gaps = np.array([1 - 0, -1 - 0.5**0.5, 1 - 0.5**0.5])  # only the second lies beyond the bend
    np.testing.assert_allclose(
        rkd_angle(LINE, TRIANGLE), (0.5 + (1 + 0.5**0.5 - 0.5) + gaps[2] ** 2 / 2) / 3, rtol=1e-6
    )


def test_distances_beyond_the_bend_of_huber_cost_their_size():
    far = jnp.array([[0.0], [0.1], [100.0]])  # 0.0015, 1.5 and 1.4985 of the mean; the teacher's are 1.5, 1.5 and 0
    near = jnp.array([[0.0], [1.0], [1.0]])
    oracle = oracles.rkd_distance(far, near)
    np.testing.assert_allclose(rkd_distance(far, near), oracle, rtol=1e-5)
    assert oracle > (1.5 - 0.0015 - 0.5) / 3


@both
def test_rotation_shift_and_scale_keep_the_relations(loss):
    rows = features(0, (5, 3))
    rotation, _ = jnp.linalg.qr(features(1, (4, 4)))
    changed = jnp.pad(rows, ((0, 0), (0, 1))) @ rotation * 3 + 2
    np.testing.assert_allclose(loss(changed, rows), 0, atol=1e-10)
    np.testing.assert_allclose(loss(features(2, (5, 3)), changed), loss(features(2, (5, 3)), rows), rtol=1e-5)


@both
def test_the_order_of_the_rows_does_not_count(loss):
    student, teacher, order = features(3, (5, 3)), features(4, (5, 4)), jnp.array([3, 0, 4, 1, 2])
    np.testing.assert_allclose(loss(student[order], teacher[order]), loss(student, teacher), rtol=1e-5)
    assert loss(student[order], teacher) != loss(student, teacher)


@both
def test_close_rows_far_from_the_origin_keep_their_distances(loss):
    student, teacher = features(5, (5, 3), scale=1e-2) + 1000.0, features(6, (5, 4))
    oracle = getattr(oracles, loss.__name__)(student, teacher)
    np.testing.assert_allclose(loss(student, teacher), oracle, rtol=1e-5)


@both
def test_equal_rows_have_a_finite_gradient(loss):
    student, teacher = features(7, (5, 3)), features(8, (5, 4))
    student = student.at[1].set(student[0])
    value, gradient = jax.value_and_grad(loss)(student, teacher)
    np.testing.assert_allclose(value, getattr(oracles, loss.__name__)(student, teacher), rtol=1e-5)
    assert jnp.isfinite(gradient).all()


@both
def test_memory_does_not_grow_with_all_differences(loss):
    rows, width = 32, 64
    student, teacher = features(9, (rows, width)), features(10, (rows, width))
    largest = largest_array(jax.make_jaxpr(jax.value_and_grad(loss))(student, teacher).jaxpr)
    assert largest <= rows * max(rows, width)
