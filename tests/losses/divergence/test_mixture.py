"""Divergences to a mixture: hand values, and the KL divergences as their limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.losses import forward_kl, jensen_shannon, reverse_kl, skew_forward_kl, skew_reverse_kl
from tests.losses.divergence.distributions import STUDENT, TEACHER, logits

Q, P = np.array([0.5, 0.5]), np.array([0.75, 0.25])
CLOSE = {"rtol": 2e-6, "atol": 1e-6}


def kl(a, b):
    return (a * np.log(a / b)).sum()


def test_hand_values():
    mixture = 0.2 * P + 0.8 * Q
    np.testing.assert_allclose(
        jensen_shannon(STUDENT, TEACHER, beta=0.2), 0.2 * kl(P, mixture) + 0.8 * kl(Q, mixture), rtol=1e-5
    )
    np.testing.assert_allclose(skew_forward_kl(STUDENT, TEACHER, skew=0.2), kl(P, mixture), rtol=1e-5)
    np.testing.assert_allclose(skew_reverse_kl(STUDENT, TEACHER, skew=0.2), kl(Q, 0.8 * P + 0.2 * Q), rtol=1e-5)


def test_no_skew_is_the_kl_itself_in_value_and_gradient():
    student, teacher = (logits(seed, scale=1.0).at[:, 3].set(-jnp.inf) for seed in (0, 1))
    for skewed, plain in ((skew_forward_kl, forward_kl), (skew_reverse_kl, reverse_kl)):
        for skew in (0.0, 1e-7):
            value = jax.value_and_grad(lambda s, skewed=skewed, skew=skew: skewed(s, teacher, skew=skew).sum())
            exact = jax.value_and_grad(lambda s, plain=plain: plain(s, teacher).sum())
            jax.tree.map(
                lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), value(student), exact(student)
            )


def test_jensen_shannon_divided_by_the_vanishing_share_is_a_kl():
    with jax.enable_x64(True):
        student, teacher = jnp.asarray(logits(2, scale=1.0), float), jnp.asarray(logits(3, scale=1.0), float)
        share = 1e-6
        np.testing.assert_allclose(
            jensen_shannon(student, teacher, beta=share) / share, forward_kl(student, teacher), rtol=1e-4
        )
        np.testing.assert_allclose(
            jensen_shannon(student, teacher, beta=1 - share) / share, reverse_kl(student, teacher), rtol=1e-4
        )


def test_what_shares_nothing_reaches_the_bounds():
    student, teacher = jnp.array([0.0, -jnp.inf]), jnp.array([-jnp.inf, 0.0])
    np.testing.assert_allclose(jensen_shannon(student, teacher), np.log(2), **CLOSE)
    np.testing.assert_allclose(skew_forward_kl(student, teacher, skew=0.25), np.log(4), **CLOSE)
    np.testing.assert_allclose(skew_reverse_kl(student, teacher, skew=0.25), np.log(4), **CLOSE)


@pytest.mark.parametrize("beta", [0.0, 1.0, -0.1, float("nan")])
def test_refuses_a_share_at_which_nothing_is_compared(beta):
    with pytest.raises(ValueError, match=rf"beta must be in \(0, 1\), got {beta}.*use forward_kl"):
        jensen_shannon(STUDENT, TEACHER, beta=beta)


@pytest.mark.parametrize("divergence", [skew_forward_kl, skew_reverse_kl])
@pytest.mark.parametrize("skew", [1.0, -0.1, float("nan")])
def test_refuses_a_skew_that_is_not_a_share(divergence, skew):
    with pytest.raises(ValueError, match=rf"skew must be in \[0, 1\), got {skew}"):
        divergence(STUDENT, TEACHER, skew=skew)
