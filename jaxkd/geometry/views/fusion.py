"""Predictions of several views, fused into one: mean, weights from validation errors, the pair that agrees."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float


def fuse_mean(points: Float[Array, "*b v n 3"], *, mask: Bool[Array, "*b v"]) -> Float[Array, "*b n 3"]:
    """Return the mean of the valid views' points.

    Args:
        points: predictions of each view in the world's coordinates; masked views may hold anything, NaN included.
        mask: valid views.

    Returns:
        Points, float32 (float64 if the input is); NaN, with a gradient of 0, where no view is valid.

    Raises:
        ValueError: shapes that do not agree.

    Source: definition.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> points = jnp.array([[[0.0, 0.0, 1.0]], [[0.0, 2.0, 1.0]], [[9.0, 9.0, 9.0]]])
        >>> fuse_mean(points, mask=jnp.array([True, True, False])).tolist()
        [[0.0, 1.0, 1.0]]
    """
    _require_views(points, mask)
    return _weighted_mean(points, jnp.ones(mask.shape), mask)


def view_weights(errors: Sequence[float]) -> Float[np.ndarray, " v"]:
    """Return w_v = (1 / e_v) / sum_u (1 / e_u), the weights of views from their errors on validation data.

    Args:
        errors: of each view, in any unit, > 0; on the host.

    Returns:
        Weights in float64, > 0, with the sum 1.

    Raises:
        ValueError: errors that are not finite and > 0, or none.

    Source: HANDS23 (arXiv 2403.16428), whose entrants weight views by validation errors; the exact rule is not public,
    and this one is inferred.  Deviation: none known.

    Example:
        >>> view_weights([10.0, 30.0]).tolist()
        [0.75, 0.25]
    """
    values = np.asarray(errors, np.float64)
    if values.ndim != 1 or not values.size or not (np.isfinite(values).all() and (values > 0).all()):
        raise ValueError(
            f"errors must hold one finite number > 0 for each view, got {values.tolist()}. Leave a view without "
            "validation frames out with its mask."
        )
    inverse = values.min() / values  # at most 1: 1 / e overflows
    return inverse / inverse.sum()


def fuse_weighted(
    points: Float[Array, "*b v n 3"], weights: Float[Array, " v"], *, mask: Bool[Array, "*b v"]
) -> Float[Array, "*b n 3"]:
    """Return sum_v w_v P_v / sum_v w_v over the valid views.

    Args:
        points: predictions of each view in the world's coordinates; masked views may hold anything, NaN included.
        weights: of each view, >= 0, as `view_weights` returns them; only their ratios matter.
        mask: valid views.

    Returns:
        Points, float32 (float64 if an input is); NaN, with a gradient of 0, where no view with a weight is valid.

    Raises:
        ValueError: shapes that do not agree.

    Source: HANDS23 (arXiv 2403.16428), validation-weighted fusion.  Deviation: none known; weights are not public.

    Example:
        >>> import jax.numpy as jnp
        >>> points = jnp.array([[[0.0, 0.0, 1.0]], [[0.0, 4.0, 1.0]]])
        >>> weights = jnp.array([0.75, 0.25])
        >>> fuse_weighted(points, weights, mask=jnp.array([True, True])).tolist()
        [[0.0, 1.0, 1.0]]
    """
    _require_views(points, mask)
    if weights.shape != mask.shape[-1:]:
        raise ValueError(f"weights must hold one number for each of the {mask.shape[-1]} views, got {weights.shape}.")
    return _weighted_mean(points, jnp.broadcast_to(weights, mask.shape), mask)


def fuse_agreeing_pair(points: Float[Array, "*b v n 3"], *, mask: Bool[Array, "*b v"]) -> Float[Array, "*b n 3"]:
    """Return the mean of the two valid views with the least mean distance between their joints.

    Args:
        points: predictions of each view in the world's coordinates; masked views may hold anything, NaN included.
        mask: valid views.

    Returns:
        Points, float32 (float64 if the input is).  One valid view is returned as it is; NaN, with a gradient of 0,
        where no view is valid.  A pair that ties with another one is taken by its place.

    Raises:
        ValueError: shapes that do not agree.

    Source: HANDS23 (arXiv 2403.16428), JHands' selection of views: all pairwise MPJPE, average of the closest pair.
    Deviation: none known.

    Example:
        >>> import jax.numpy as jnp
        >>> points = jnp.array([[[0.0, 0.0, 1.0]], [[0.0, 9.0, 1.0]], [[0.0, 0.0, 2.0]]])
        >>> fuse_agreeing_pair(points, mask=jnp.ones(3, bool)).tolist()
        [[0.0, 0.0, 1.5]]
    """
    _require_views(points, mask)
    points = _clean(points, mask)
    # Each view pairs with itself too, at the greatest cost, for frames with one valid view.
    first, second = np.triu_indices(mask.shape[-1])
    frozen = jax.lax.stop_gradient(points)
    difference = frozen[..., first, :, :] - frozen[..., second, :, :]
    distance = jnp.mean(jnp.sqrt(jnp.sum(difference * difference, axis=-1)), axis=-1)
    alone = jnp.broadcast_to(jnp.asarray(first == second), distance.shape)
    cost = jnp.where(alone, jnp.finfo(distance.dtype).max, distance)
    cost = jnp.where(mask[..., first] & mask[..., second], cost, jnp.inf)
    pair = jnp.argmin(cost, axis=-1)
    chosen = [
        jnp.take_along_axis(points, jnp.asarray(side)[pair][..., None, None, None], axis=-3)[..., 0, :, :]
        for side in (first, second)
    ]
    return jnp.where(jnp.any(mask, axis=-1)[..., None, None], (chosen[0] + chosen[1]) / 2, jnp.nan)


def _weighted_mean(
    points: Float[Array, "*b v n 3"], weights: Float[Array, "*b v"], mask: Bool[Array, "*b v"]
) -> Float[Array, "*b n 3"]:
    points = _clean(points, mask)
    weights = jnp.where(mask, weights, 0).astype(jnp.promote_types(points.dtype, weights.dtype))
    total = jnp.sum(weights, axis=-1)
    share = weights / jnp.where(total > 0, total, 1)[..., None]
    fused = jnp.einsum("...v,...vnk->...nk", share, points)
    return jnp.where((total > 0)[..., None, None], fused, jnp.nan)


def _clean(points: Float[Array, "*b v n 3"], mask: Bool[Array, "*b v"]) -> Float[Array, "*b v n 3"]:
    points = points.astype(jnp.promote_types(jnp.float32, points.dtype))
    return jnp.where(mask[..., None, None], points, 0)


def _require_views(points: Float[Array, "..."], mask: Bool[Array, "..."]) -> None:
    if points.ndim < 3 or points.shape[-1] != 3 or points.shape[:-2] != mask.shape:
        raise ValueError(
            f"points and mask must be [..., views, n, 3] and [..., views], got {points.shape} and {mask.shape}."
        )
    if mask.shape[-1] < 1:
        raise ValueError("points must hold at least one view, got none.")
