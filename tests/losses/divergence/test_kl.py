"""The Kullback-Leibler divergences: hand values, closed gradients, what is infinite."""

import jax
import numpy as np
import pytest

from jaxkd.losses import forward_kl, reverse_kl, symmetric_kl
from tests.losses.compiled import compiled
from tests.losses.divergence.distributions import STUDENT, TEACHER, log_probs
from tests.losses.divergence.distributions import host_logits as logits

FORWARD = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
REVERSE = 0.5 * np.log(2 / 3) + 0.5 * np.log(2)


def test_hand_values():
    np.testing.assert_allclose(compiled(forward_kl)(STUDENT, TEACHER)[0], FORWARD, rtol=1e-6)
    np.testing.assert_allclose(compiled(reverse_kl)(STUDENT, TEACHER)[0], REVERSE, rtol=1e-6)
    np.testing.assert_allclose(compiled(symmetric_kl)(STUDENT, TEACHER)[0], (FORWARD + REVERSE) / 2, rtol=1e-6)


def test_gradients_have_their_closed_forms():
    sides = logits(0, dtype=np.float64), logits(1, dtype=np.float64)
    with jax.enable_x64(True):
        (_, (forward, _)), (nats, (reverse, _)) = (compiled(kl)(*sides) for kl in (forward_kl, reverse_kl))
    log_q, log_p = map(log_probs, sides)
    np.testing.assert_allclose(forward, np.exp(log_q) - np.exp(log_p), atol=1e-14)
    np.testing.assert_allclose(reverse, np.exp(log_q) * (log_q - log_p - nats[:, None]), atol=1e-14)


@pytest.mark.parametrize(("divergence", "finite"), [(forward_kl, "teacher"), (reverse_kl, "student")])
def test_only_the_distribution_that_is_averaged_over_may_lack_a_token(divergence, finite):
    whole, lacking = logits(2), logits(3)
    lacking[:, 4] = -np.inf
    sides = {"student": (lacking, whole), "teacher": (whole, lacking)}
    assert np.isfinite(compiled(divergence)(*sides.pop(finite))[0]).all()
    (other,) = sides.values()
    np.testing.assert_array_equal(compiled(divergence)(*other)[0], np.inf)
    np.testing.assert_array_equal(compiled(symmetric_kl)(*other)[0], np.inf)
