"""Colours of skin."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxkd.typing import Key

LIGHTEST, DARKEST = (0.80, 0.56, 0.44), (0.060, 0.030, 0.018)
"""Albedo of light and of dark skin in linear red, green and blue."""

WAVES = 16
"""Waves that a random field is the sum of."""


def skin_albedo(
    vertices: Float[Array, "v 3"],
    *,
    tone: float | Float[Array, ""],
    key: Key,
    variation: float = 0.12,
    length: float = 0.03,
) -> Float[Array, "v 3"]:
    """Return the albedo exp(log(tone) + variation * field) at each vertex, in linear red, green and blue.

    The tone lies between light and dark skin, by their logarithms; one field is common to all channels, and a weaker
    one adds to red what it takes from green and blue.

    Args:
        vertices: positions of the mesh at rest, so that the colours stay where they are when it moves; in metres.
        tone: 0 for light, 1 for dark skin.
        key: key of the random fields.
        variation: standard deviation of the common field.
        length: distance in metres over which colours resemble one another.

    Returns:
        Per vertex, in [0, 1].

    Raises:
        ValueError: vertices that are not [v, 3], or a `variation` or `length` that cannot be.

    Source: inferred; the fields are those of `smooth_field`.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> albedo = skin_albedo(jnp.zeros((1, 3)), tone=0.0, key=jax.random.key(0), variation=0.0)
        >>> [round(float(channel), 3) for channel in albedo[0]]
        [0.8, 0.56, 0.44]
    """
    if not 0 <= variation < math.inf:
        raise ValueError(f"variation must be finite and 0 or more, got {variation}.")
    common, redness = (smooth_field(vertices, key=one, length=length) for one in jax.random.split(key))
    light, dark = (np.log(np.array(one, np.float32)) for one in (LIGHTEST, DARKEST))
    base = light + jnp.asarray(tone, jnp.float32) * (dark - light)
    sides = jnp.array([[0.5, -0.25, -0.25]])
    return jnp.minimum(jnp.exp(base[None] + variation * (common[:, None] + redness[:, None] * sides)), 1)


def smooth_field(vertices: Float[Array, "v 3"], *, key: Key, length: float) -> Float[Array, " v"]:
    """Return a random field of mean 0 and variance 1 whose correlation at a distance d is exp(-d^2 / (2 length^2)).

    Args:
        vertices: positions.
        key: key of the waves.
        length: in the unit of the positions.

    Returns:
        Per vertex, sqrt(2 / m) sum_j cos(k_j.x + phase_j) with m = 16 waves, at most 5.7 in absolute value.

    Raises:
        ValueError: vertices that are not [v, 3], or a length that is not positive and finite.

    Source: Rahimi and Recht, "Random features for large-scale kernel machines" (2007), algorithm 1.  Deviation: none.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> near = smooth_field(jnp.array([[0.0, 0.0, 0.0], [0.001, 0.0, 0.0]]), key=jax.random.key(0), length=1.0)
        >>> bool(abs(near[0] - near[1]) < 0.01)
        True
    """
    if vertices.ndim != 2 or vertices.shape[1] != 3:
        raise ValueError(f"vertices must be [v, 3], got {vertices.shape}.")
    if not 0 < length < math.inf:
        raise ValueError(f"length must be positive and finite, in the unit of vertices, got {length}.")
    to_waves, to_phases = jax.random.split(key)
    dtype = jnp.promote_types(vertices.dtype, jnp.float32)
    waves = jax.random.normal(to_waves, (3, WAVES), dtype) / length
    phases = jax.random.uniform(to_phases, (1, WAVES), dtype, maxval=2 * math.pi)
    return math.sqrt(2 / WAVES) * jnp.sum(jnp.cos(vertices.astype(dtype) @ waves + phases), axis=1)
