"""Distribution of initial weights that is torch's default."""

import functools

import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike

from jaxkd.typing import Key


def uniform_by_inputs(inputs: int) -> Initializer:
    """Return the uniform distribution from -1 / sqrt(inputs) to 1 / sqrt(inputs).

    torch draws weights and biases of linear maps and convolutions from it.

    Args:
        inputs: products that each result sums.

    Source: inferred from torch's `kaiming_uniform_(a=5**0.5)`, whose bound is sqrt(6 / ((1 + a^2) inputs)).  Deviation:
    none.

    Example:
        >>> import jax
        >>> weights = uniform_by_inputs(100)(jax.random.key(0), (100, 1000))
        >>> bool(0.099 < abs(weights).max() <= 0.1)
        True
    """
    return functools.partial(_uniform, inputs**-0.5)


def _uniform(
    bound: float, key: Key, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32, out_sharding: object = None
) -> jax.Array:
    del out_sharding
    return jax.random.uniform(key, shape, dtype, -bound, bound)
