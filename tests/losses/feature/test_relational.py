"""Relational distillation: hand values, what leaves relations unchanged, equal rows, memory."""

import jax
import numpy as np
import pytest

from jaxkd.losses.feature import rkd_angle, rkd_distance
from tests.losses.compiled import compiled
from tests.losses.feature import oracles
from tests.losses.feature.oracles import features
from tests.memory import largest_array

LINE, TRIANGLE = np.float32([[0], [1], [2]]), np.float32([[0, 0], [3, 0], [0, 3]])
both = pytest.mark.parametrize("loss", [rkd_distance, rkd_angle])


def value(loss, student, teacher):
    return compiled(loss)(student, teacher)[0]


def test_hand_values():
    line, triangle = np.array([0.75, 1.5, 0.75]), np.array([3, 3, 18**0.5])
    gaps = line - triangle / triangle.mean()
    np.testing.assert_allclose(value(rkd_distance, LINE, TRIANGLE), np.mean(gaps**2 / 2), rtol=1e-6)
    gaps = np.array([1 - 0, -1 - 0.5**0.5, 1 - 0.5**0.5])  # only the second lies beyond the bend
    expected = (0.5 + (1 + 0.5**0.5 - 0.5) + gaps[2] ** 2 / 2) / 3
    np.testing.assert_allclose(value(rkd_angle, LINE, TRIANGLE), expected, rtol=1e-6)


def test_distances_beyond_the_bend_of_huber_cost_their_size():
    # 0.0015, 1.5 and 1.4985 of the mean; the teacher's are 1.5, 1.5 and 0.
    far, near = np.float32([[0], [0.1], [100]]), np.float32([[0, 0], [1, 0], [1, 0]])
    oracle = oracles.rkd_distance(far, near)
    np.testing.assert_allclose(value(rkd_distance, far, near), oracle, rtol=1e-5)
    assert oracle > (1.5 - 0.0015 - 0.5) / 3


@both
def test_rotation_shift_and_scale_keep_the_relations(loss):
    rows, other = features(0, (5, 3)), features(2, (5, 3))
    rotation, _ = np.linalg.qr(features(1, (4, 4)))
    changed = np.pad(rows, ((0, 0), (0, 1))) @ rotation * 3 + 2
    np.testing.assert_allclose(value(loss, rows, changed), 0, atol=1e-10)
    by_rows = value(loss, np.pad(other, ((0, 0), (0, 1))), rows)
    np.testing.assert_allclose(value(loss, other, changed), by_rows, rtol=1e-5)


@both
def test_the_order_of_the_rows_does_not_count(loss):
    student, teacher, order = features(3, (5, 3)), features(4, (5, 4)), np.array([3, 0, 4, 1, 2])
    expected = value(loss, student, teacher)
    np.testing.assert_allclose(value(loss, student[order], teacher[order]), expected, rtol=1e-5)
    assert value(loss, student[order], teacher) != expected


@both
def test_close_rows_far_from_the_origin_keep_their_distances(loss):
    student, teacher = features(5, (5, 3), scale=1e-2) + 1000, features(6, (5, 4))
    oracle = getattr(oracles, loss.__name__)(student, teacher)
    np.testing.assert_allclose(value(loss, student, teacher), oracle, rtol=1e-5)


@both
def test_equal_rows_have_a_finite_gradient(loss):
    student, teacher = features(7, (5, 3)), features(8, (5, 4))
    student[1] = student[0]
    found, (gradient, _) = compiled(loss)(student, teacher)
    np.testing.assert_allclose(found, getattr(oracles, loss.__name__)(student, teacher), rtol=1e-5)
    assert np.isfinite(gradient).all()


@both
def test_memory_does_not_grow_with_all_differences(loss):
    rows, width = 32, 64
    student, teacher = features(9, (rows, width)), features(10, (rows, width))
    largest = largest_array(jax.make_jaxpr(jax.value_and_grad(loss))(student, teacher).jaxpr)
    assert largest <= rows * max(rows, width)
