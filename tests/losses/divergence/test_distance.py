"""Total variation and the distance between sorted probabilities."""

import numpy as np
import pytest

from jaxkd.losses import WassersteinSorted, total_variation, wasserstein_sorted
from tests.losses.compiled import compiled
from tests.losses.divergence.distributions import STUDENT, TEACHER
from tests.losses.divergence.distributions import host_logits as logits


def by_rank(student, teacher):
    return compiled(wasserstein_sorted)(student, teacher)[0]


def test_hand_values():
    np.testing.assert_allclose(compiled(total_variation)(STUDENT, TEACHER)[0], 0.25, rtol=1e-6)
    np.testing.assert_allclose(by_rank(STUDENT, TEACHER), 0.5, rtol=1e-6)
    three = np.log(np.float32([0.1, 0.6, 0.3]))
    np.testing.assert_allclose(by_rank(TEACHER, three), 0.15 + 0.05 + 0.1, rtol=1e-6)
    np.testing.assert_allclose(by_rank(three, TEACHER), 0.15 + 0.05 + 0.1, rtol=1e-6)


def test_ranks_ignore_which_token_is_which():
    student, teacher = logits(0), logits(1)
    shuffled = student[:, np.random.default_rng(2).permutation(12)]
    np.testing.assert_allclose(by_rank(shuffled, student), 0, atol=1e-6)
    np.testing.assert_allclose(by_rank(shuffled, teacher), by_rank(student, teacher), rtol=1e-5)


def test_no_matching_is_better_than_by_rank():
    student, teacher = logits(3, (64, 9)), logits(4, (64, 9))
    assert (by_rank(student, teacher) <= 2 * compiled(total_variation)(student, teacher)[0] + 1e-6).all()


@pytest.mark.parametrize(("student_size", "teacher_size"), [(7, 12), (12, 7)])
def test_a_shorter_vocabulary_is_padded_with_impossible_tokens(student_size, teacher_size):
    sides = logits(5, (8, student_size)), logits(6, (8, teacher_size))
    padded = [np.pad(side, ((0, 0), (0, 12 - side.shape[1])), constant_values=-np.inf) for side in sides]
    value, (gradient, _) = compiled(WassersteinSorted())(*sides)
    padded_value, (padded_gradient, _) = compiled(wasserstein_sorted)(*padded)
    np.testing.assert_array_equal(value, padded_value)
    np.testing.assert_allclose(gradient, padded_gradient[:, :student_size], atol=1e-6)
    np.testing.assert_array_equal(padded_gradient[:, student_size:], 0)


@pytest.mark.usefixtures("unchecked_shapes")
def test_total_variation_refuses_another_vocabulary():
    with pytest.raises(ValueError, match=r"got \(8, 9\) and \(8, 12\). Different vocabularies must be aligned first"):
        compiled(total_variation)(logits(0), logits(1, (8, 9)))
