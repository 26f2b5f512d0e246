"""The extrapolation between two models; its loss has an oracle in `tests/losses/linear/test_contrast.py`."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.kernels.softmax.contrast import Contrast
from jaxkd.losses import ForwardKL


@pytest.mark.parametrize(
    ("reward", "factors"), [("vanilla", [[0.5, 0.5], [2.0, -1.0]]), ("contrastive", [[1.5, -0.5], [3.0, -2.0]])]
)
def test_the_factors_of_both_models_by_hand(reward, factors):
    contrast = Contrast(distance=ForwardKL(), divergence=ForwardKL(), reward=reward, scale=2.0, floor=0.5, beta=0.1)
    np.testing.assert_allclose(contrast.coefficients(jnp.array([0.5, 2.0])), factors, rtol=1e-6)
