"""Penalties that make the weights of a network sparse."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def l1(weights: Float[Array, "*weights"]) -> Float[Array, "*weights"]:
    """Return the absolute value `|w|` of each weight.

    Args:
        weights: weights of any unit.

    Returns:
        One value per weight, in its unit and dtype.

    Source: the lasso of Tibshirani 1996 (doi 10.1111/j.2517-6161.1996.tb02080.x).  Deviation: not summed.

    Example:
        >>> l1(jnp.array([-2.0, 0.0, 0.5])).tolist()
        [2.0, 0.0, 0.5]
    """
    return jnp.abs(weights)


def smoothed_half(weights: Float[Array, "*weights"], *, knee: float = 0.05) -> Float[Array, "*weights"]:
    """Return `sqrt(|w|)`, smoothed for `|w| < a` to `sqrt(-w⁴ / 8a³ + 3w² / 4a + 3a / 8)`, whose slope at 0 is 0.

    Among equally good sums, fewer and larger weights cost less than more and smaller ones.

    Args:
        weights: dimensionless weights.
        knee: a > 0, where both parts meet with the same value and slope.

    Returns:
        One value per weight, of its dtype; sqrt(3a / 8) for a weight of 0.

    Raises:
        ValueError: a knee that is not positive.

    Source: L1/2 of Xu et al. 2012 (doi 10.1109/TNNLS.2012.2197412), smoothed as by Wu et al. 2014 (doi
    10.1016/j.neunet.2013.11.006) and used for equation learners by Kim et al. (arXiv 1912.04825).  Deviation: not
    summed.

    Example:
        >>> print(smoothed_half(jnp.array([-4.0, 0.25, 0.0]), knee=0.24))
        [2.  0.5 0.3]
    """
    if not knee > 0:
        raise ValueError(f"knee must be > 0, got {knee}.")
    size = jnp.abs(weights)
    square = jnp.minimum(size, knee) ** 2
    rounded = -(square**2) / (8 * knee**3) + 3 * square / (4 * knee) + 3 * knee / 8
    return jnp.sqrt(jnp.where(size < knee, rounded, size))
