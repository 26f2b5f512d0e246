"""Divergences to a mixture: hand values, and the KL divergences as their limits."""

import jax
import numpy as np
import pytest

from jaxkd.losses import forward_kl, jensen_shannon, reverse_kl, skew_forward_kl, skew_reverse_kl
from tests.losses.compiled import compiled
from tests.losses.divergence.distributions import STUDENT, TEACHER
from tests.losses.divergence.distributions import host_logits as logits

Q, P = np.array([0.5, 0.5]), np.array([0.75, 0.25])
CLOSE = {"rtol": 2e-6, "atol": 1e-6}


def kl(a, b):
    return (a * np.log(a / b)).sum()


def test_hand_values():
    mixture = 0.2 * P + 0.8 * Q
    for divergence, options, expected in (
        (jensen_shannon, {"beta": 0.2}, 0.2 * kl(P, mixture) + 0.8 * kl(Q, mixture)),
        (skew_forward_kl, {"skew": 0.2}, kl(P, mixture)),
        (skew_reverse_kl, {"skew": 0.2}, kl(Q, 0.8 * P + 0.2 * Q)),
    ):
        np.testing.assert_allclose(compiled(divergence, **options)(STUDENT, TEACHER)[0], expected, rtol=1e-5)


@pytest.mark.parametrize(("skewed", "plain"), [(skew_forward_kl, forward_kl), (skew_reverse_kl, reverse_kl)])
@pytest.mark.parametrize("skew", [0.0, 1e-7])
def test_no_skew_is_the_kl_itself_in_value_and_gradient(skewed, plain, skew):
    student, teacher = logits(0, scale=1.0), logits(1, scale=1.0)
    student[:, 3] = teacher[:, 3] = -np.inf
    value, (gradient, _) = compiled(skewed, skew=skew)(student, teacher)
    exact, (exact_gradient, _) = compiled(plain)(student, teacher)
    np.testing.assert_allclose(value, exact, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(gradient, exact_gradient, rtol=1e-4, atol=1e-5)


def test_jensen_shannon_divided_by_the_vanishing_share_is_a_kl():
    sides = [logits(seed, scale=1.0).astype(np.float64) for seed in (2, 3)]
    share = 1e-6
    with jax.enable_x64(True):
        for beta, plain in ((share, forward_kl), (1 - share, reverse_kl)):
            value, _ = compiled(jensen_shannon, beta=beta)(*sides)
            np.testing.assert_allclose(value / share, compiled(plain)(*sides)[0], rtol=1e-4)


def test_what_shares_nothing_reaches_the_bounds():
    sides = np.float32([0, -np.inf]), np.float32([-np.inf, 0])
    np.testing.assert_allclose(compiled(jensen_shannon)(*sides)[0], np.log(2), **CLOSE)
    np.testing.assert_allclose(compiled(skew_forward_kl, skew=0.2)(*sides)[0], np.log(5), **CLOSE)
    np.testing.assert_allclose(compiled(skew_reverse_kl, skew=0.2)(*sides)[0], np.log(5), **CLOSE)


@pytest.mark.parametrize("beta", [0.0, 1.0, -0.1, float("nan")])
def test_refuses_a_share_at_which_nothing_is_compared(beta):
    with pytest.raises(ValueError, match=rf"beta must be in \(0, 1\), got {beta}.*use forward_kl"):
        compiled(jensen_shannon, beta=beta)(STUDENT, TEACHER)


@pytest.mark.parametrize("divergence", [skew_forward_kl, skew_reverse_kl])
@pytest.mark.parametrize("skew", [1.0, -0.1, float("nan")])
def test_refuses_a_skew_that_is_not_a_share(divergence, skew):
    with pytest.raises(ValueError, match=rf"skew must be in \[0, 1\), got {skew}"):
        compiled(divergence, skew=skew)(STUDENT, TEACHER)
