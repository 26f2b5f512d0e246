"""Errors of an object of two hinged parts: its angle, and the share of its surface that is where it should be."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxkd.metrics.hand_pose.arrays import mean_where, norm, require_points, require_shapes, where_valid, wide


def bottom_centre(vertices: Float[Array, "*b v 3"], *, bottom: Bool[Array, " v"]) -> Float[Array, "*b 3"]:
    """Return the mean of the vertices of the bottom part, ARCTIC's root of an object, in metres.

    Args:
        vertices: of the object.
        bottom: vertices of the bottom part.

    Returns:
        Per frame, float32 (float64 if the input is); NaN if no vertex is of the bottom part.

    Raises:
        ValueError: shapes that do not agree.

    Source: zc-alexfan/arctic@49f3eb4.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> vertices = jnp.array([[0.0, 0.0, 0.0], [1.0, 2.0, 4.0], [9.0, 9.0, 9.0]])
        >>> bottom_centre(vertices, bottom=jnp.array([True, True, False])).tolist()
        [0.5, 1.0, 2.0]
    """
    require_points(vertices=vertices)
    require_shapes(bottom=(bottom, jnp.shape(vertices)[-2:-1]))
    by_axis = jnp.moveaxis(wide(vertices), -1, -2)
    return mean_where(by_axis, jnp.broadcast_to(bottom, by_axis.shape))


def articulation_error(
    predicted_rad: Float[Array, "*b"], truth_rad: Float[Array, "*b"], *, valid: Bool[Array, "*b"]
) -> Float[Array, "*b"]:
    """Return abs(p - t) 180 / pi, the error of an object's angle of articulation, in degrees.

    Args:
        predicted_rad: angle in radians; no multiple of a full turn is taken off, since a hinge has limits.
        truth_rad: angle in radians.
        valid: frames that count.

    Returns:
        Per frame, in degrees, float32 (float64 if an input is); NaN where it does not count.

    Raises:
        ValueError: shapes that do not agree.

    Source: zc-alexfan/arctic@49f3eb4, AAE.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> angles = jnp.array([jnp.pi / 2, 1.0])
        >>> articulation_error(angles, jnp.zeros(2), valid=jnp.array([True, False])).tolist()
        [90.0, nan]
    """
    shape = jnp.shape(predicted_rad)
    require_shapes(truth_rad=(truth_rad, shape), valid=(valid, shape))
    difference = jnp.where(valid, wide(predicted_rad) - wide(truth_rad), 0)
    return where_valid(jnp.abs(jnp.rad2deg(difference)), valid)


def success_rate(
    predicted: Float[Array, "*b v 3"],
    truth: Float[Array, "*b v 3"],
    *,
    bottom: Bool[Array, " v"],
    diameter: float | Float[Array, ""],
    valid: Bool[Array, "*b"],
    mask: Bool[Array, " v"] | None = None,
    share: float = 0.05,
) -> Float[Array, "*b"]:
    """Return the share of the vertices whose error, relative to the bottom part, is below 5 % of the diameter, in %.

    Args:
        predicted: vertices of the object.
        truth: the same vertices, in the same unit.
        bottom: vertices of the bottom part, whose centre is the object's root.
        diameter: of the object, in the unit of the vertices.
        valid: frames that count.
        mask: vertices that exist; None: all.  Others are padding.
        share: of the diameter that an error must stay below.

    Returns:
        Per frame, from 0 to 100, float32 (float64 if an input is); NaN where it does not count, or where a vertex is.

    Raises:
        ValueError: shapes that do not agree.

    Source: zc-alexfan/arctic@49f3eb4.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> truth = jnp.zeros((1, 4, 3))
        >>> predicted = truth.at[0, 2:, 0].set(jnp.array([0.004, 0.006]))
        >>> bottom = jnp.array([True, True, False, False])
        >>> success_rate(predicted, truth, bottom=bottom, diameter=0.1, valid=jnp.array([True])).tolist()
        [75.0]
    """
    require_points(predicted=predicted)
    shape = jnp.shape(predicted)
    mask = jnp.ones(shape[-2], bool) if mask is None else mask
    require_shapes(
        truth=(truth, shape), bottom=(bottom, shape[-2:-1]), valid=(valid, shape[:-2]), mask=(mask, shape[-2:-1])
    )
    difference = wide(predicted) - wide(truth)
    errors = norm(difference - bottom_centre(difference, bottom=bottom & mask)[..., None, :])
    every = jnp.broadcast_to(mask, errors.shape)
    near = jnp.where(jnp.isnan(errors), jnp.nan, jnp.where(errors < share * diameter, 100.0, 0.0)).astype(errors.dtype)
    return where_valid(mean_where(near, every), valid)
