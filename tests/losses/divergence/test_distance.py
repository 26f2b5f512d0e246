"""Total variation and the distance between sorted probabilities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.losses import WassersteinSorted, total_variation, wasserstein_sorted
from tests.losses.divergence.distributions import STUDENT, TEACHER, logits


def test_hand_values():
    np.testing.assert_allclose(total_variation(STUDENT, TEACHER), 0.25, rtol=1e-6)
    np.testing.assert_allclose(wasserstein_sorted(STUDENT, TEACHER), 0.5, rtol=1e-6)
    three = jnp.log(jnp.array([0.1, 0.6, 0.3]))
    np.testing.assert_allclose(wasserstein_sorted(TEACHER, three), 0.15 + 0.05 + 0.1, rtol=1e-6)
    np.testing.assert_allclose(wasserstein_sorted(three, TEACHER), 0.15 + 0.05 + 0.1, rtol=1e-6)


def test_ranks_ignore_which_token_is_which():
    student, teacher = logits(0), logits(1)
    shuffled = student[:, np.random.default_rng(2).permutation(9)]
    np.testing.assert_allclose(wasserstein_sorted(shuffled, student), 0, atol=1e-6)
    np.testing.assert_allclose(wasserstein_sorted(shuffled, teacher), wasserstein_sorted(student, teacher), rtol=1e-5)


def test_no_matching_is_better_than_by_rank():
    student, teacher = logits(3, (64, 9)), logits(4, (64, 9))
    assert (wasserstein_sorted(student, teacher) <= 2 * total_variation(student, teacher) + 1e-6).all()


@pytest.mark.parametrize(("student_size", "teacher_size"), [(6, 9), (9, 6)])
def test_a_shorter_vocabulary_is_padded_with_impossible_tokens(student_size, teacher_size):
    student, teacher = logits(5, (4, student_size)), logits(6, (4, teacher_size))
    padded = [jnp.pad(side, ((0, 0), (0, 9 - side.shape[1])), constant_values=-jnp.inf) for side in (student, teacher)]
    np.testing.assert_array_equal(WassersteinSorted()(student, teacher), wasserstein_sorted(*padded))
    gradient, padded_gradient = (
        jax.jit(jax.grad(lambda s, t: wasserstein_sorted(s, t).sum()))(*sides) for sides in ((student, teacher), padded)
    )
    np.testing.assert_allclose(gradient, padded_gradient[:, :student_size], atol=1e-6)
    np.testing.assert_array_equal(padded_gradient[:, student_size:], 0)


@pytest.mark.usefixtures("unchecked_shapes")
def test_total_variation_refuses_another_vocabulary():
    with pytest.raises(ValueError, match=r"got \(4, 8\) and \(4, 9\). Different vocabularies must be aligned first"):
        total_variation(logits(0), logits(1, (4, 8)))
