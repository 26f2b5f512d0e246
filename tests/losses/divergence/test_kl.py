"""The Kullback-Leibler divergences: hand values, closed gradients, what is infinite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.losses import forward_kl, reverse_kl, symmetric_kl
from tests.losses.divergence.distributions import STUDENT, TEACHER, logits

FORWARD = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
REVERSE = 0.5 * np.log(2 / 3) + 0.5 * np.log(2)


def test_hand_values():
    np.testing.assert_allclose(forward_kl(STUDENT, TEACHER), FORWARD, rtol=1e-6)
    np.testing.assert_allclose(reverse_kl(STUDENT, TEACHER), REVERSE, rtol=1e-6)
    np.testing.assert_allclose(symmetric_kl(STUDENT, TEACHER), (FORWARD + REVERSE) / 2, rtol=1e-6)


def test_gradients_have_their_closed_forms():
    student, teacher = logits(0), logits(1)
    log_q, log_p = jax.nn.log_softmax(student), jax.nn.log_softmax(teacher)
    forward = jax.grad(lambda s: forward_kl(s, teacher).sum())(student)
    reverse = jax.grad(lambda s: reverse_kl(s, teacher).sum())(student)
    np.testing.assert_allclose(forward, jnp.exp(log_q) - jnp.exp(log_p), atol=1e-6)
    centred = log_q - log_p - reverse_kl(student, teacher)[:, None]
    np.testing.assert_allclose(reverse, jnp.exp(log_q) * centred, atol=1e-6)


@pytest.mark.parametrize(("divergence", "finite"), [(forward_kl, "teacher"), (reverse_kl, "student")])
def test_only_the_distribution_that_is_averaged_over_may_lack_a_token(divergence, finite):
    whole, lacking = logits(2), logits(3).at[:, 4].set(-jnp.inf)
    sides = {"student": (lacking, whole), "teacher": (whole, lacking)}
    assert jnp.isfinite(divergence(*sides.pop(finite))).all()
    (other,) = sides.values()
    assert (divergence(*other) == jnp.inf).all()
    assert (symmetric_kl(*other) == jnp.inf).all()
