"""InfoNCE: hand values, what is a negative of what, gradients, errors."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxkd.losses.feature import info_nce
from tests.losses.feature.oracles import features


def test_hand_values():
    student, teacher = jnp.array([[2.0, 0.0], [0.0, 3.0]]), jnp.array([[5.0, 0.0], [3.0, 4.0]])
    expected = np.log(1 + np.exp([(0.6 - 1) / 0.5, (0 - 0.8) / 0.5]))
    np.testing.assert_allclose(info_nce(student, teacher, temperature=0.5), expected, rtol=1e-5)
    bank = jnp.array([[0.0, 9.0], [-1.0, 0.0]])
    expected = np.log([1 + np.exp(-0.8) + np.exp(-2) + np.exp(-4), 1 + np.exp(-1.6) + np.exp(0.4) + np.exp(-1.6)])
    np.testing.assert_allclose(info_nce(student, teacher, temperature=0.5, negatives=bank), expected, rtol=1e-5)


def test_costs_the_log_of_the_candidates_where_none_stands_out():
    ones = jnp.ones((4, 3))
    np.testing.assert_allclose(info_nce(ones, ones), np.log(4), rtol=1e-6)
    np.testing.assert_allclose(info_nce(ones, ones, negatives=jnp.ones((5, 3))), np.log(9), rtol=1e-6)
    np.testing.assert_allclose(info_nce(jnp.eye(4), jnp.eye(4), temperature=0.01), 0, atol=1e-6)


def test_a_bank_is_as_good_as_a_larger_batch():
    student, teacher = features(0, (6, 4)), features(1, (6, 4))
    whole = info_nce(student, teacher)
    np.testing.assert_allclose(info_nce(student[:2], teacher[:2], negatives=teacher[2:]), whole[:2], rtol=1e-5)


def test_rows_of_the_same_class_are_no_negatives():
    student, teacher, alone = features(2, (5, 4)), features(3, (5, 4)), jnp.arange(5)
    np.testing.assert_array_equal(info_nce(student, teacher, labels=alone), info_nce(student, teacher))
    np.testing.assert_allclose(info_nce(student, teacher, labels=alone * 0), 0, atol=1e-5)
    bank = features(4, (3, 4))
    by_bank = [info_nce(student[i : i + 1], teacher[i : i + 1], negatives=bank)[0] for i in range(5)]
    np.testing.assert_allclose(info_nce(student, teacher, labels=alone * 0, negatives=bank), by_bank, rtol=1e-5)


def test_gradients_reach_the_student_and_the_projection_only():
    arrays = {
        "student": features(5, (4, 3)),
        "projection": features(6, (3, 5)),
        "teacher": features(7, (4, 5)),
        "negatives": features(8, (2, 5)),
    }

    def total(arrays):
        return info_nce(
            arrays["student"],
            arrays["teacher"],
            projection=arrays["projection"],
            negatives=arrays["negatives"],
            temperature=0.5,
        ).sum()

    gradients = jax.jit(jax.grad(total))(arrays)
    for name in ("student", "projection"):
        assert (jnp.abs(gradients[name]) > 1e-5).all()
    for name in ("teacher", "negatives"):
        np.testing.assert_array_equal(gradients[name], 0)
    check_grads(
        jax.jit(lambda p: total(arrays | {"projection": p})),
        (arrays["projection"],),
        order=1,
        modes=["rev"],
        rtol=2e-2,
        atol=2e-2,
        eps=1e-3,
    )


def test_no_gradient_reaches_the_projection_from_masked_rows():
    student, teacher, projection = features(9, (4, 3)), features(10, (4, 5)), features(11, (3, 5))
    mask = jnp.array([True, True, False, True])

    def total(projection, student):
        return info_nce(student, teacher, projection=projection, mask=mask).sum()

    broken = jax.grad(total)(projection, student.at[2].set(jnp.nan))
    np.testing.assert_array_equal(broken, jax.grad(total)(projection, student))


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_what_does_not_fit():
    rows = features(0, (4, 3))
    for temperature in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match=rf"temperature must be > 0, got {temperature}"):
            info_nce(rows, rows, temperature=temperature)
    with pytest.raises(ValueError, match=r"width of student, 3, got 5. Pass a projection, a matrix of shape \(3, 5\)"):
        info_nce(rows, features(1, (4, 5)))
    with pytest.raises(ValueError, match=r"labels must have an entry for each row, shape \(4,\), got \(5,\)"):
        info_nce(rows, rows, labels=jnp.arange(5))
    with pytest.raises(TypeError, match=r"labels must be classes of an integer dtype, got float32"):
        info_nce(rows, rows, labels=jnp.arange(4.0))
    with pytest.raises(ValueError, match=r"negatives must have the width of teacher, shape \(m, 3\), got \(2, 5\)"):
        info_nce(rows, rows, negatives=features(1, (2, 5)))
