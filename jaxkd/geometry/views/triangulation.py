"""Points from the rays of several views."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.geometry.cameras.camera import Camera

SMALLEST_DETERMINANT = 16
"""Determinant of the normalised equations, in units of rounding, that counts as a meeting of rays.

For two rays it is sin^2(angle) / 4: 0.16 degrees in float32.
"""


def view_rays(cameras: Sequence[Camera], pixels: Float[Array, "v n 2"]) -> Float[Array, "v n 3"]:
    """Return the unit vectors through the pixels of each view, in the coordinates of its own camera.

    Args:
        cameras: one for each view; their models may differ.
        pixels: x and y.

    Returns:
        Directions; NaN beyond a camera's field, which `triangulate` leaves out.

    Raises:
        ValueError: another number of cameras than of views.

    Source: definition.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxkd.geometry.cameras import Pinhole
        >>> camera = Pinhole(focal=jnp.array([100.0, 100.0]), centre=jnp.array([50.0, 40.0]))
        >>> view_rays([camera, camera], jnp.full((2, 1, 2), jnp.array([50.0, 40.0]))).tolist()
        [[[0.0, 0.0, 1.0]], [[0.0, 0.0, 1.0]]]
    """
    if len(cameras) != pixels.shape[0]:
        raise ValueError(f"cameras must hold one camera for each of the {pixels.shape[0]} views, got {len(cameras)}.")
    return jnp.stack([camera.unproject(one) for camera, one in zip(cameras, pixels, strict=True)])


def triangulate(
    rays: Float[Array, "*b v n 3"],
    *,
    rotations: Float[Array, "*b v 3 3"],
    translations: Float[Array, "*b v 3"],
    confidences: Float[Array, "*b v n"],
) -> Float[Array, "*b n 3"]:
    """Return the X with the least sum_v w_v^2 ||d_v x (X - t_v)||^2: confidence-weighted linear triangulation of rays.

    The equations d x (R^T (X - t)) = 0 are those of the direct linear transform; with unit vectors d their residual is
    the distance from X to the ray, in metres, so that no view counts more for a point in its corner than in its centre,
    and rays at right angles to the axis are as good as others.

    Args:
        rays: directions in the coordinates of each camera, of any length > 0, as `view_rays` returns them.
        rotations: of the cameras' poses, x_world = R x_camera + t.
        translations: positions of the cameras in the world.
        confidences: w >= 0 of each view and point; 0 leaves a view out, whatever its ray holds.  A ray that is NaN is
            left out too.

    Returns:
        Points in the world, float32 (float64 if an input is); NaN, with a gradient of 0, where fewer than two rays
        count or where they are parallel to rounding.

    Raises:
        ValueError: shapes that do not agree.

    Source: Hartley and Sturm (1997), linear methods, for directions in place of pixels; weights as in Iskakov et al.
    (arXiv 1905.05754), equation 4.  Deviation: unit vectors, and a world point that is not homogeneous.

    Example:
        >>> import jax.numpy as jnp
        >>> rays = jnp.array([[[0.0, 0.0, 1.0]], [[-1.0, 0.0, 1.0]]])
        >>> translations = jnp.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
        >>> rotations = jnp.stack([jnp.eye(3), jnp.eye(3)])
        >>> points = triangulate(rays, rotations=rotations, translations=translations, confidences=jnp.ones((2, 1)))
        >>> points.round(5).tolist()
        [[0.0, 0.0, 1.0]]
    """
    views = rays.shape[:-2]
    if (
        rays.ndim < 3
        or rays.shape[-1] != 3
        or rotations.shape != (*views, 3, 3)
        or translations.shape != (*views, 3)
        or confidences.shape != rays.shape[:-1]
    ):
        raise ValueError(
            "rays, rotations, translations and confidences must be [..., views, n, 3], [..., views, 3, 3], "
            f"[..., views, 3] and [..., views, n], got {rays.shape}, {rotations.shape}, {translations.shape} and "
            f"{confidences.shape}."
        )
    dtype = jnp.result_type(jnp.float32, rays.dtype, rotations.dtype, translations.dtype, confidences.dtype)
    counts = jnp.all(jnp.isfinite(rays), axis=-1) & (confidences > 0)
    forward = jnp.broadcast_to(jnp.array([0, 0, 1], dtype), rays.shape)
    rays = jnp.where(counts[..., None], rays.astype(dtype), forward)
    rays = rays / jnp.sqrt(jnp.sum(rays * rays, axis=-1, keepdims=True))
    weights = jnp.where(counts, confidences.astype(dtype), 0)
    largest = jnp.max(weights, axis=-2, keepdims=True)
    squares = (weights / jnp.where(largest > 0, largest, 1)) ** 2  # of the largest: squares of small ones underflow
    shares = squares / jnp.maximum(jnp.sum(squares, axis=-2, keepdims=True), 1)
    directions = jnp.einsum("...vij,...vnj->...vni", rotations.astype(dtype), rays)
    # Relative to the middle of the cameras: the world's origin may be far away, and costs digits.
    middle = jnp.mean(translations.astype(dtype), axis=-2)
    origins = translations.astype(dtype) - middle[..., None, :]
    along = jnp.einsum("...vni,...vnj->...vnij", directions, directions)
    across = jnp.broadcast_to(jnp.eye(3, dtype=dtype), along.shape) - along
    matrix = jnp.einsum("...vn,...vnij->...nij", shares, across)
    target = jnp.einsum("...vn,...vnij,...vj->...ni", shares, across, origins)
    determinant = jnp.sum(matrix[..., 0, :] * jnp.cross(matrix[..., 1, :], matrix[..., 2, :]), axis=-1)
    met = (jnp.sum(counts, axis=-2) >= 2) & (determinant > SMALLEST_DETERMINANT * jnp.finfo(dtype).eps)
    identity = jnp.broadcast_to(jnp.eye(3, dtype=dtype), matrix.shape)
    solution = jnp.linalg.solve(jnp.where(met[..., None, None], matrix, identity), target[..., None])[..., 0]
    return jnp.where(met[..., None], solution + middle[..., None, :], jnp.nan)
