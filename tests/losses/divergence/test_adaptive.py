"""The adaptive KL divergence: where head ends and tail begins, and what is gradient-stopped."""

import jax
import numpy as np
import pytest

from jaxkd.losses import adaptive_kl, forward_kl, reverse_kl
from tests.losses.compiled import compiled
from tests.losses.divergence.distributions import STUDENT, TEACHER, log_probs
from tests.losses.divergence.distributions import host_logits as logits


def test_hand_value():
    q, p = np.array([0.6, 0.3, 0.1]), np.array([0.7, 0.1, 0.2])  # the tail is {0.1, 0.2}
    exact = 0.1 / 0.4 * (p * np.log(p / q)).sum() + 0.3 / 0.4 * (q * np.log(q / p)).sum()
    value, _ = compiled(adaptive_kl)(*np.float32(np.log([q, p])))
    np.testing.assert_allclose(value, exact, rtol=2e-6)


def test_all_head_is_forward_and_all_tail_is_reverse():
    student, teacher = logits(0), logits(1)
    forward, _ = compiled(forward_kl)(student, teacher)
    np.testing.assert_array_equal(compiled(adaptive_kl, tail_mass=0.0)(student, teacher)[0], forward)
    # 1 + rounding would leave the last token out of the tail.
    student[:, 3:], teacher[:, 3:], teacher[:, :3] = -np.inf, -np.inf, np.log([0.5, 0.25, 0.25])
    reverse, _ = compiled(reverse_kl)(student, teacher)
    np.testing.assert_allclose(compiled(adaptive_kl, tail_mass=1.0)(student, teacher)[0], reverse, rtol=1e-6)


def test_lies_between_the_two():
    student, teacher = logits(3, (64, 9)), logits(4, (64, 9))
    value, forward, reverse = (compiled(one)(student, teacher)[0] for one in (adaptive_kl, forward_kl, reverse_kl))
    assert (value >= np.minimum(forward, reverse) - 1e-5).all()
    assert (value <= np.maximum(forward, reverse) + 1e-5).all()


def test_the_share_has_no_gradient():
    student, teacher = logits(5, dtype=np.float64), logits(6, dtype=np.float64)
    q, p = np.exp(log_probs(student)), np.exp(log_probs(teacher))
    order = np.argsort(p, -1, kind="stable")
    tail = np.take_along_axis(np.cumsum(np.take_along_axis(p, order, -1), -1) <= 0.5, np.argsort(order, -1), -1)
    head_share = np.where(tail, 0, np.abs(p - q)).sum(-1, keepdims=True) / np.abs(p - q).sum(-1, keepdims=True)
    assert (head_share > 0.05).all() and (head_share < 0.95).any()
    with jax.enable_x64(True):
        adaptive, forward, reverse = (
            compiled(function, gradient_to="both")(student, teacher)[1]
            for function in (adaptive_kl, forward_kl, reverse_kl)
        )
    for side in range(2):
        exact = head_share * forward[side] + (1 - head_share) * reverse[side]
        np.testing.assert_allclose(adaptive[side], exact, atol=1e-13)


def test_equal_distributions_have_a_finite_gradient():
    for student in (logits(7), np.zeros((8, 12), np.float32)):  # equal up to rounding, and exactly: 0 / 0
        value, (gradient, _) = compiled(adaptive_kl)(student, student)
        np.testing.assert_allclose(value, 0, atol=1e-6)
        np.testing.assert_allclose(gradient, 0, atol=1e-6)


@pytest.mark.parametrize("tail_mass", [-0.1, 1.1, float("nan")])
def test_refuses_a_mass_that_is_not_a_probability(tail_mass):
    with pytest.raises(ValueError, match=rf"tail_mass must be a probability in \[0, 1\], got {tail_mass}"):
        compiled(adaptive_kl, tail_mass=tail_mass)(STUDENT, TEACHER)
