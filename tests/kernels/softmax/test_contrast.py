"""The extrapolation between two models: its factors by hand, and the weighted nats by NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.kernels.softmax.contrast import Contrast
from jaxkd.losses import ForwardKL, TotalVariation


def contrast(reward, **changes):
    options = {"distance": TotalVariation(), "divergence": ForwardKL(), "scale": 2.0, "floor": 0.5, "beta": 0.1}
    return Contrast(reward=reward, **options | changes)


@pytest.mark.parametrize(
    ("reward", "factors"), [("vanilla", [[0.5, 0.5], [2.0, -1.0]]), ("contrastive", [[1.5, -0.5], [3.0, -2.0]])]
)
def test_the_factors_of_both_models_by_hand(reward, factors):
    np.testing.assert_allclose(contrast(reward).coefficients(jnp.array([0.5, 2.0])), factors, rtol=1e-6)


@pytest.mark.parametrize("reward", ["vanilla", "contrastive"])
def test_weighted_nats_equal_float64_numpy(reward):
    logits = {
        name: np.random.default_rng(seed).normal(size=(3, 7)).astype(np.float32)
        for seed, name in enumerate(("student", "first", "second"))
    }
    found, (nats, distance, strength) = jax.jit(contrast(reward))(logits)
    log_q, log_1, log_2 = (
        values - np.log(np.exp(values).sum(-1, keepdims=True)) for values in map(np.float64, logits.values())
    )
    expected_distance = np.abs(np.exp(log_1) - np.exp(log_2)).sum(-1) / 2
    expected_strength = 2 * expected_distance + 0.5
    factor = expected_strength[:, None] + (reward == "contrastive")
    teacher = factor * log_1 + (1 - factor) * log_2
    log_p = teacher - np.log(np.exp(teacher).sum(-1, keepdims=True))
    expected = (np.exp(log_p) * (log_p - log_q)).sum(-1)
    # Some ten roundings of float32 logits, which the factors of up to 3 magnify.
    for value, exact in (
        (distance, expected_distance),
        (strength, expected_strength),
        (nats, expected),
        (found, 0.1 / expected_strength * expected),
    ):
        np.testing.assert_allclose(value, exact, rtol=1e-5)
