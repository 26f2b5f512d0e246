"""Batch normalisation with running statistics."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float


class BatchNorm(nnx.Module):
    """Normalise each channel by its mean and variance over the batch, or by the running ones.

    In training, (x - mean) / sqrt(variance + epsilon) x scale + bias has the mean and the biased variance over all axes
    but the last; under a mesh these are of the global batch.  The running statistics then move towards the batch's by
    `momentum`, the variance towards the unbiased one.

    Source: Ioffe & Szegedy (arXiv 1502.03167), algorithms 1 and 2; the running variance is unbiased as in torch.
    Deviation: none.
    """

    def __init__(self, features: int, *, momentum: float = 0.1, epsilon: float = 1e-5):
        self.momentum, self.epsilon = momentum, epsilon
        self.scale = nnx.Param(jnp.ones(features))
        self.bias = nnx.Param(jnp.zeros(features))
        self.mean = nnx.BatchStat(jnp.zeros(features))
        self.variance = nnx.BatchStat(jnp.ones(features))

    def __call__(self, inputs: Float[Array, "b *spatial c"], *, train: bool) -> Float[Array, "b *spatial c"]:
        """Return the normalised inputs; in training, update the running statistics.

        Raises:
            ValueError: one value per channel in training, whose variance is 0.
        """
        values = inputs.astype(jnp.promote_types(inputs.dtype, jnp.float32))
        mean, variance = self.mean[...], self.variance[...]
        if train:
            count = values.size // values.shape[-1]
            if count < 2:
                raise ValueError(
                    f"a batch must hold at least two values for each channel to be normalised, got {count}: inputs of "
                    f"shape {inputs.shape}. Take 2 rows or more a batch."
                )
            axes = tuple(range(values.ndim - 1))
            mean = jnp.mean(values, axes)
            variance = jnp.mean(jnp.square(values - _along(mean, values)), axes)
            self._move(jax.lax.stop_gradient(mean), jax.lax.stop_gradient(variance) * (count / (count - 1)))
        scale = self.scale[...] * jax.lax.rsqrt(variance + self.epsilon)
        normalised = (values - _along(mean, values)) * _along(scale, values) + _along(self.bias[...], values)
        return normalised.astype(inputs.dtype)

    def _move(self, mean: Float[Array, " c"], variance: Float[Array, " c"]) -> None:
        for running, value in ((self.mean, mean), (self.variance, variance)):
            moved = (1 - self.momentum) * running[...] + self.momentum * value
            running.set_value(moved.astype(running[...].dtype))  # indexing would write into an array of NumPy


def _along(channels: Float[Array, " c"], values: Float[Array, "..."]) -> Float[Array, "..."]:
    """Give `channels` the rank of `values`."""
    return channels.reshape((1,) * (values.ndim - 1) + channels.shape)
