"""Norms, means over what is known, and checks of shapes, which the metrics of hands share."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def wide(values: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return float32 or wider: errors of a millimetre at a metre do not fit into bfloat16."""
    return jnp.asarray(values, jnp.promote_types(jnp.float32, jnp.asarray(values).dtype))


def norm(vectors: Float[Array, "*b k"]) -> Float[Array, "*b"]:
    """Return the Euclidean length over the last axis, whose gradient is 0 where the length is; NaN of NaN."""
    squared = jnp.sum(vectors**2, axis=-1)
    return jnp.where(squared == 0, 0, jnp.sqrt(jnp.where(squared == 0, 1, squared)))


def where_valid(values: Float[Array, "*b"], valid: Bool[Array, "*b"]) -> Float[Array, "*b"]:
    """Return the values, and NaN where they are not valid."""
    return jnp.where(valid, values, jnp.nan)


def mean_where(values: Float[Array, "*b k"], mask: Bool[Array, "*b k"]) -> Float[Array, "*b"]:
    """Return the mean over the last axis of what the mask holds; NaN where it holds nothing.

    What is masked may be NaN: it reaches neither the value nor the gradient.
    """
    count = mask.sum(axis=-1)
    total = jnp.sum(jnp.where(mask, values, 0), axis=-1)
    return jnp.where(count > 0, total / jnp.maximum(count, 1), jnp.nan)


def require_shapes(**named: tuple[Any, tuple[int, ...]]) -> None:
    """Reject arrays whose shape is not the one that another argument implies.

    Args:
        named: array and required shape by the argument's name.

    Raises:
        ValueError: another shape.
    """
    for name, (array, shape) in named.items():
        if jnp.shape(array) != shape:
            raise ValueError(
                f"{name} must have the shape {shape} that the other arguments imply, got {jnp.shape(array)}."
            )


def require_points(**named: Float[Array, "..."]) -> None:
    """Reject arrays that do not hold points of three coordinates.

    Raises:
        ValueError: another last axis, or no axis of points.
    """
    for name, points in named.items():
        if jnp.ndim(points) < 2 or jnp.shape(points)[-1] != 3:
            raise ValueError(f"{name} must hold points of shape [..., n, 3], got {jnp.shape(points)}.")
