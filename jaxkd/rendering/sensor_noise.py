"""Noise of a camera's sensor."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.typing import Key


@dataclasses.dataclass(frozen=True, kw_only=True)
class SensorNoise:
    """Strength of the noise, in units of the radiance that saturates the sensor.

    Raises:
        ValueError: strengths that are negative or not finite.
    """

    shot: float = 0.0005
    """Variance for a radiance of 1, to which it is proportional: the inverse of the number of photons that saturate."""
    read: float = 0.003
    """Standard deviation without light."""

    def __post_init__(self) -> None:
        if not all(0 <= value < math.inf for value in (self.shot, self.read)):
            raise ValueError(f"shot and read must be finite and 0 or more, got {self.shot} and {self.read}.")


def noisy(radiance: Float[Array, "*b"], noise: SensorNoise, *, key: Key) -> Float[Array, "*b"]:
    """Return radiance + sqrt(shot * radiance + read^2) * e, with e from the standard normal distribution.

    Args:
        radiance: linear, before the curve of sRGB; each channel has noise of its own.  Negative values count as 0 in
            the variance.
        noise: its strength.
        key: key of the random numbers.

    Returns:
        Radiance, which may be negative.

    Source: Foi et al., "Practical Poissonian-Gaussian noise modeling and fitting" (2008), equation 2.  Deviation: the
    Poisson part is normal, too.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> values = noisy(jnp.full(10_000, 0.5), SensorNoise(shot=0.02, read=0.0), key=jax.random.key(0))
        >>> round(float(values.std()), 2)
        0.1
    """
    variance = noise.shot * jnp.maximum(radiance, 0) + noise.read**2
    return radiance + jnp.sqrt(variance) * jax.random.normal(key, radiance.shape, radiance.dtype)
