"""The alpha-beta divergence: its known members, its continuity, what is infinite."""

import numpy as np
import pytest

from jaxkd.losses import alpha_beta, forward_kl, reverse_kl
from tests.losses.compiled import compiled
from tests.losses.divergence.distributions import STUDENT, TEACHER, log_probs
from tests.losses.divergence.distributions import host_logits as logits


def value(student, teacher, **exponents):
    return compiled(alpha_beta, **exponents)(student, teacher)[0]


def test_hand_values():
    np.testing.assert_allclose(value(STUDENT, TEACHER, alpha=1.0, beta=1.0), 0.0625, rtol=1e-5)
    hellinger = 2 * ((np.sqrt([0.75, 0.25]) - np.sqrt(0.5)) ** 2).sum()
    np.testing.assert_allclose(value(STUDENT, TEACHER, alpha=0.5, beta=0.5), hellinger, rtol=1e-5)


@pytest.mark.parametrize("zero", [0.0, 1e-7])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_the_kl_divergences_are_its_ends_in_value_and_gradient(zero, scale):
    student, teacher = logits(0, scale=scale), logits(1, scale=scale)
    gap = np.abs(student - teacher).max()
    # A summand is a probability times a difference x of log-probabilities, each rounded, or (exp(zero x) - 1) / zero.
    close = {"atol": 4 * np.finfo(np.float32).eps * gap, "rtol": 2e-6 + 2 * zero * gap}
    student[:, 3] = teacher[:, 3] = -np.inf
    for options, plain in (
        ({"alpha": 1.0, "beta": zero}, forward_kl),
        ({"alpha": zero, "beta": 1.0}, reverse_kl),
    ):
        found, (gradient, _) = compiled(alpha_beta, **options)(student, teacher)
        exact, (exact_gradient, _) = compiled(plain)(student, teacher)
        np.testing.assert_allclose(found, exact, **close)
        np.testing.assert_allclose(gradient, exact_gradient, **close)


def test_an_exponent_of_zero_is_the_limit_of_the_formula():
    student, teacher = logits(4), logits(5)
    log_q, log_p = log_probs(student), log_probs(teacher)
    q, p = np.exp(0.7 * log_q), np.exp(0.7 * log_p)
    no_alpha = (q * np.log(q / p) - q + p).sum(-1) / 0.7**2
    no_beta = (p * np.log(p / q) - p + q).sum(-1) / 0.7**2
    for zero in (0.0, 1e-7):
        np.testing.assert_allclose(value(student, teacher, alpha=zero, beta=0.7), no_alpha, rtol=5e-6)
        np.testing.assert_allclose(value(student, teacher, alpha=0.7, beta=zero), no_beta, rtol=5e-6)


def test_is_infinite_where_the_matching_kl_is():
    whole, lacking = logits(2), logits(3)
    lacking[:, 4] = -np.inf
    np.testing.assert_array_equal(value(lacking, whole, alpha=1.0, beta=0.0), np.inf)
    np.testing.assert_array_equal(value(whole, lacking, alpha=0.0, beta=1.0), np.inf)
    assert np.isfinite(value(whole, lacking, alpha=1.0, beta=0.0)).all()
    assert np.isfinite(value(lacking, whole, alpha=0.0, beta=1.0)).all()


@pytest.mark.parametrize(("alpha", "beta"), [(0.0, 0.0), (-0.5, 1.0), (1.0, -0.5), (float("nan"), 1.0)])
def test_refuses_exponents_without_a_finite_divergence(alpha, beta):
    with pytest.raises(ValueError, match=rf"alpha and beta must be >= 0 and not both 0, got alpha={alpha} and"):
        value(STUDENT, TEACHER, alpha=alpha, beta=beta)
