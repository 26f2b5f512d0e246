import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxkd.vision.layers import layer_norm


def test_channels_far_from_0_keep_their_variance():
    """The mean of squares minus the square of the mean would lose all digits of it in float32."""
    values = np.array([[10_000.0, 10_001.0, 10_002.0, 10_003.0]])
    expected = (values - values.mean()) / np.sqrt(values.var() + 1e-5)
    found = layer_norm(4, rngs=nnx.Rngs(0))(jnp.asarray(values, jnp.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_epsilon_is_added_to_the_variance():
    values = jnp.array([[-0.01, 0.01]])
    found = layer_norm(2, epsilon=1e-4, rngs=nnx.Rngs(0))(values)
    np.testing.assert_allclose(found, values / np.sqrt(2e-4), rtol=1e-6)
