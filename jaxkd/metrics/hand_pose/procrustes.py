"""Errors of joints after the best rotation, translation and scale."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxkd.geometry.rotations import similarity_alignment
from jaxkd.metrics.hand_pose.arrays import mean_where, norm, require_points, require_shapes, wide


def pa_mpjpe(
    predicted: Float[Array, "*b j 3"], truth: Float[Array, "*b j 3"], *, mask: Bool[Array, "*b j"]
) -> Float[Array, "*b"]:
    """Return min over s, R, t of the mean of ||s R p_j + t - t_j||, for the s, R, t of least squares, in metres.

    It is the error of the shape alone: a wrong rotation, place or size of the hand costs nothing, a mirrored hand does.

    Args:
        predicted: joints of each hand.
        truth: joints of the same hands, in the same order and unit.
        mask: joints that count.  The others may hold anything, NaN included.

    Returns:
        Per hand, in the unit of `truth`, float32 (float64 if an input is); NaN where fewer than three joints count, or
        one that counts is NaN.  Where all predicted joints coincide, their distance from the truth's centre.  No
        gradient passes: the decomposition has none where singular values are equal.

    Raises:
        ValueError: shapes that do not agree.

    Source: Umeyama (1991), equations 39 to 42.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> truth = jnp.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]])
        >>> turn = jnp.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
        >>> bool(pa_mpjpe(5 * truth @ turn + 3, truth, mask=jnp.ones(4, bool)) < 1e-5)
        True
    """
    require_points(predicted=predicted)
    shape = jnp.shape(predicted)
    require_shapes(truth=(truth, shape), mask=(mask, shape[:-1]))
    counted = mask[..., None]
    points, target = (jax.lax.stop_gradient(jnp.where(counted, wide(one), 0)) for one in (predicted, truth))
    # NaN would pass through the decomposition to all hands on some devices.
    known = jnp.isfinite(points).all(axis=(-2, -1)) & jnp.isfinite(target).all(axis=(-2, -1))
    points, target = (jnp.where(known[..., None, None], one, 0) for one in (points, target))
    errors = mean_where(norm(similarity_alignment(points, target, mask=mask) - target), mask)
    return jnp.where(known & (mask.sum(axis=-1) >= 3), errors, jnp.nan)
