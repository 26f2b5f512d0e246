"""The only place that divides: from a value per position to one number."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxkd.records import Mean
from jaxkd.typing import Scalar


def mean_weights(mask: Bool[Array, "*tokens"], count: Int[Array, ""] | Float[Array, ""]) -> Float[Array, "*tokens"]:
    """Weights whose weighted sum is a mean over `count` positions: `mask / max(count, 1)`.

    Args:
        mask: the positions of this part.
        count: positions of the whole, this part and all others; 0 gives weights of 0, not NaN.

    Returns:
        Per position, float32.

    Source: inferred.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> mean_weights(jnp.array([True, False]), jnp.array(4)).tolist()
        [0.25, 0.0]
    """
    return mask / jnp.maximum(count, 1)


def masked_mean(values: Float[Array, "*tokens"], mask: Bool[Array, "*tokens"]) -> Scalar:
    """Mean of `values` where `mask` is True; 0 with gradient 0 where it is nowhere True.

    Args:
        values: per position; what is masked may be anything, NaN included.
        mask: same shape.

    Returns:
        A scalar of the dtype of `values`.

    Raises:
        ValueError: shapes that differ.

    Source: inferred.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> float(masked_mean(jnp.array([1.0, 3.0, jnp.nan]), jnp.array([True, True, False])))
        2.0
    """
    mean = masked_sum(values, mask)
    return mean.total / jnp.maximum(mean.count, 1)


def masked_sum(values: Float[Array, "*tokens"], mask: Bool[Array, "*tokens"]) -> Mean:
    """Sum and count of `values` where `mask` is True, to be divided when all parts are added.

    Args:
        values: per position; what is masked may be anything, NaN included.
        mask: same shape.

    Returns:
        `Mean(total, count)`; the total can be differentiated.

    Raises:
        ValueError: shapes that differ.

    Source: inferred.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> part = masked_sum(jnp.array([1.0, 3.0]), jnp.array([True, False]))
        >>> float((part + part).value())
        1.0
    """
    if values.shape != mask.shape:
        raise ValueError(f"mask must have the shape of values, {values.shape}, got {mask.shape}.")
    return Mean(total=jnp.sum(jnp.where(mask, values, 0.0)), count=jnp.sum(mask, dtype=values.dtype))


def reported(values: Float[Array, "*tokens"], mask: Bool[Array, "*tokens"]) -> Mean:
    """`masked_sum` for a metric: gradient-stopped.

    Args:
        values: per position.
        mask: same shape.

    Returns:
        `Mean(total, count)` without a gradient.

    Raises:
        ValueError: shapes that differ.

    Source: inferred.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> float(reported(jnp.array([1.0, 3.0]), jnp.array([True, True])).value())
        2.0
    """
    return masked_sum(jax.lax.stop_gradient(values), mask)
