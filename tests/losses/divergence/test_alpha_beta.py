"""The alpha-beta divergence: its known members, its continuity, what is infinite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.losses import alpha_beta, forward_kl, reverse_kl
from tests.losses.divergence.distributions import STUDENT, TEACHER, log_probs, logits


def test_hand_values():
    np.testing.assert_allclose(alpha_beta(STUDENT, TEACHER, alpha=1.0, beta=1.0), 0.0625, rtol=1e-5)
    hellinger = 2 * ((np.sqrt([0.75, 0.25]) - np.sqrt(0.5)) ** 2).sum()
    np.testing.assert_allclose(alpha_beta(STUDENT, TEACHER, alpha=0.5, beta=0.5), hellinger, rtol=1e-5)


@pytest.mark.parametrize("zero", [0.0, 1e-7])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_the_kl_divergences_are_its_ends_in_value_and_gradient(zero, scale):
    student = logits(0, scale=scale).at[:, 3].set(-jnp.inf)
    teacher = logits(1, scale=scale).at[:, 3].set(-jnp.inf)
    for options, plain in (
        ({"alpha": 1.0, "beta": zero}, forward_kl),
        ({"alpha": zero, "beta": 1.0}, reverse_kl),
    ):
        value = jax.value_and_grad(lambda s, options=options: alpha_beta(s, teacher, **options).sum())
        exact = jax.value_and_grad(lambda s, plain=plain: plain(s, teacher).sum())
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=2e-5), value(student), exact(student)
        )


def test_an_exponent_of_zero_is_the_limit_of_the_formula():
    student, teacher = logits(4), logits(5)
    log_q, log_p = log_probs(student), log_probs(teacher)
    q, p = np.exp(0.7 * log_q), np.exp(0.7 * log_p)
    no_alpha = (q * np.log(q / p) - q + p).sum(-1) / 0.7**2
    no_beta = (p * np.log(p / q) - p + q).sum(-1) / 0.7**2
    for zero in (0.0, 1e-7):
        np.testing.assert_allclose(alpha_beta(student, teacher, alpha=zero, beta=0.7), no_alpha, rtol=5e-6)
        np.testing.assert_allclose(alpha_beta(student, teacher, alpha=0.7, beta=zero), no_beta, rtol=5e-6)


def test_is_infinite_where_the_matching_kl_is():
    whole, lacking = logits(2), logits(3).at[:, 4].set(-jnp.inf)
    assert (alpha_beta(lacking, whole, alpha=1.0, beta=0.0) == jnp.inf).all()
    assert (alpha_beta(whole, lacking, alpha=0.0, beta=1.0) == jnp.inf).all()
    assert jnp.isfinite(alpha_beta(whole, lacking, alpha=1.0, beta=0.0)).all()
    assert jnp.isfinite(alpha_beta(lacking, whole, alpha=0.0, beta=1.0)).all()


@pytest.mark.parametrize(("alpha", "beta"), [(0.0, 0.0), (-0.5, 1.0), (1.0, -0.5), (float("nan"), 1.0)])
def test_refuses_exponents_without_a_finite_divergence(alpha, beta):
    with pytest.raises(ValueError, match=rf"alpha and beta must be >= 0 and not both 0, got alpha={alpha} and"):
        alpha_beta(STUDENT, TEACHER, alpha=alpha, beta=beta)
