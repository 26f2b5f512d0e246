"""Group normalisation."""

import functools

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float


class GroupNorm(nnx.Module):
    """Normalise the channels of each image in groups: (x - mean) / sqrt(variance + epsilon) x scale + bias.

    Mean and biased variance are over the pixels and the channels of a group.  Gradients are taken in reverse mode only.

    Source: Wu & He (arXiv 1803.08494), equations 1 to 3 and 7.  Deviation: none.  The gradient is written out; sums are
    taken over pixels before they are over channels, which a processor does faster.
    """

    def __init__(self, features: int, groups: int, *, epsilon: float = 1e-5):
        if features % groups:
            raise ValueError(f"features must be a multiple of groups, got {features} and {groups}.")
        self.groups, self.epsilon = groups, epsilon
        self.scale = nnx.Param(jnp.ones(features))
        self.bias = nnx.Param(jnp.zeros(features))

    def __call__(self, inputs: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Return the normalised inputs, computed in float32 or better."""
        dtype = jnp.promote_types(inputs.dtype, jnp.float32)
        arrays = (inputs, self.scale[...], self.bias[...])
        outputs = _normalised(*(array.astype(dtype) for array in arrays), self.groups, self.epsilon)
        return jnp.asarray(outputs, inputs.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _normalised(
    x: Float[Array, "b h w c"], scale: Float[Array, " c"], bias: Float[Array, " c"], groups: int, epsilon: float
) -> Float[Array, "b h w c"]:
    return _forward(x, scale, bias, groups, epsilon)[0]


def _forward(
    x: Float[Array, "b h w c"], scale: Float[Array, " c"], bias: Float[Array, " c"], groups: int, epsilon: float
) -> tuple[Float[Array, "b h w c"], tuple[Array, Array, Array, Array]]:
    mean = _over_groups(_over_pixels(x), groups)
    variance = _over_groups(_over_pixels(jnp.square(x - _wide(mean))), groups)
    inverse = jax.lax.rsqrt(variance + epsilon)
    return (x - _wide(mean)) * _wide(inverse * scale[None]) + bias[None, None, None], (x, mean, inverse, scale)


def _backward(
    groups: int, epsilon: float, kept: tuple[Array, Array, Array, Array], gradient: Float[Array, "b h w c"]
) -> tuple[Array, Array, Array]:
    """Return the gradients by x, scale and bias.

    With z = (x - mean) / deviation and g = gradient x scale, the gradient by x is
    (g - mean(g) - z mean(g z)) / deviation.
    """
    del epsilon
    x, mean, inverse, scale = kept
    plain, along = _over_pixels(gradient), _over_pixels(gradient * (x - _wide(mean))) * inverse
    shift = _over_groups(plain * scale[None], groups) * inverse
    slope = _over_groups(along * scale[None], groups) * jnp.square(inverse)
    by_x = gradient * _wide(inverse * scale[None]) - _wide(shift) - (x - _wide(mean)) * _wide(slope)
    pixels = x.shape[1] * x.shape[2]
    return by_x, pixels * jnp.sum(along, axis=0), pixels * jnp.sum(plain, axis=0)


_normalised.defvjp(_forward, _backward)


def _over_pixels(x: Float[Array, "b h w c"]) -> Float[Array, "b c"]:
    """Return means over pixels, row by row: one long sum in float32 would lose digits."""
    return jnp.mean(jnp.mean(x, axis=2), axis=1)


def _over_groups(channels: Float[Array, "b c"], groups: int) -> Float[Array, "b c"]:
    """Return the mean of each channel's group."""
    rows, count = channels.shape
    means = jnp.mean(channels.reshape(rows, groups, count // groups), axis=-1, keepdims=True)
    return jnp.broadcast_to(means, (rows, groups, count // groups)).reshape(rows, count)


def _wide(channels: Float[Array, "b c"]) -> Float[Array, "b 1 1 c"]:
    return channels[:, None, None, :]
