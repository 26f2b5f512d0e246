"""InfoNCE: hand values, what is a negative of what, gradients, errors."""

import functools
import math

import jax
import numpy as np
import pytest

from jaxkd.losses.feature import info_nce
from tests.losses.compiled import assert_equals_finite_differences, compiled
from tests.losses.feature.oracles import features


def value(student, teacher, **arrays):
    return compiled(info_nce)(student, teacher, **arrays)[0]


def test_hand_values():
    student, teacher = np.float32([[2, 0], [0, 3]]), np.float32([[5, 0], [3, 4]])
    halved = compiled(info_nce, temperature=0.5)
    expected = np.log(1 + np.exp([(0.6 - 1) / 0.5, (0 - 0.8) / 0.5]))
    np.testing.assert_allclose(halved(student, teacher)[0], expected, rtol=1e-5)
    bank = np.float32([[0, 9], [-1, 0]])
    expected = np.log([1 + np.exp(-0.8) + np.exp(-2) + np.exp(-4), 1 + np.exp(-1.6) + np.exp(0.4) + np.exp(-1.6)])
    np.testing.assert_allclose(halved(student, teacher, negatives=bank)[0], expected, rtol=1e-5)


def test_costs_the_log_of_the_candidates_where_none_stands_out():
    ones = np.ones((5, 4), np.float32)
    np.testing.assert_allclose(value(ones, ones), np.log(5), rtol=1e-6)
    np.testing.assert_allclose(value(ones, ones, negatives=ones[:3]), np.log(8), rtol=1e-6)
    apart = np.eye(5, dtype=np.float32)
    np.testing.assert_allclose(compiled(info_nce, temperature=0.01)(apart, apart)[0], 0, atol=1e-6)


def test_a_bank_is_as_good_as_a_larger_batch():
    with jax.enable_x64(True):
        student, teacher = np.float64(features(0, (5, 4))), np.float64(features(1, (5, 4)))
        by_bank = value(student[:2], teacher[:2], negatives=teacher[2:])
        np.testing.assert_allclose(by_bank, value(student, teacher)[:2], rtol=1e-12)


def test_rows_of_the_same_class_are_no_negatives():
    """In float64: a small loss is the difference of logits of 14, which float32 rounds to 1e-6."""
    alone = np.arange(5)
    with jax.enable_x64(True):
        student, teacher, bank = (np.float64(features(2 + i, (rows, 4))) for i, rows in enumerate((5, 5, 3)))
        np.testing.assert_allclose(value(student, teacher, labels=alone), value(student, teacher), rtol=1e-12)
        np.testing.assert_allclose(value(student, teacher, labels=alone * 0), 0, atol=1e-14)
        by_bank = [value(student[i : i + 1], teacher[i : i + 1], negatives=bank)[0] for i in range(5)]
        found = value(student, teacher, labels=alone * 0, negatives=bank)
        # Rounding of logits of 1 / temperature = 14, each a sum of a few products.
        np.testing.assert_allclose(found, by_bank, rtol=1e-12, atol=1e-13)


def projected(student, projection, teacher, negatives, *, mask):
    return info_nce(student, teacher, projection=projection, negatives=negatives, temperature=0.5, mask=mask)


ARRAYS = features(5, (4, 3)), features(6, (3, 5)), features(7, (4, 5)), features(8, (2, 5))


def test_gradients_reach_the_student_and_the_projection_only():
    run = functools.partial(compiled(projected), mask=np.ones(4, bool))
    _, gradients = run(*ARRAYS)
    for gradient in gradients[:2]:
        assert (np.abs(gradient) > 1e-5).all()
    for gradient in gradients[2:]:
        np.testing.assert_array_equal(gradient, 0)
    assert_equals_finite_differences(run, *ARRAYS, at=1, rtol=2e-2, atol=2e-2, eps=1e-3)


def test_no_gradient_reaches_the_projection_from_masked_rows():
    student, *others = ARRAYS
    broken, mask = student.copy(), np.arange(4) != 2
    broken[~mask] = np.nan
    _, gradients = compiled(projected)(student, *others, mask=mask)
    _, gradients_of_broken = compiled(projected)(broken, *others, mask=mask)
    np.testing.assert_array_equal(gradients_of_broken[1], gradients[1])


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_what_does_not_fit():
    rows = features(0, (4, 3))
    for temperature in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match=rf"temperature must be > 0, got {temperature}"):
            compiled(info_nce, temperature=temperature)(rows, rows)
    with pytest.raises(ValueError, match=r"width of student, 3, got 5. Pass a projection, a matrix of shape \(3, 5\)"):
        value(rows, features(1, (4, 5)))
    with pytest.raises(ValueError, match=r"labels must have an entry for each row, shape \(4,\), got \(5,\)"):
        value(rows, rows, labels=np.arange(5))
    with pytest.raises(TypeError, match=r"labels must be classes of an integer dtype, got float32"):
        value(rows, rows, labels=np.arange(4, dtype=np.float32))
    with pytest.raises(ValueError, match=r"negatives must have the width of teacher, shape \(m, 3\), got \(2, 5\)"):
        value(rows, rows, negatives=features(1, (2, 5)))
