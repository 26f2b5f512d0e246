"""From rays to the plane on which a lens is modelled and back: x/z, or the angle from the axis, smooth on the axis."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

NEAR_AXIS = 1e-4
"""Squared angle below which a series takes over: its remainder is below 1e-17, and the closed form is 0/0 on the
axis."""

LARGEST_RATIO = 1e6
"""Largest |x| / z or |y| / z that counts as in front of a camera: beyond it, derivatives leave the range of float32."""


def perspective_plane(points: Float[Array, "*b 3"]) -> tuple[Float[Array, "*b 2"], Bool[Array, "*b"]]:
    """Return (x, y) / z, and whether the point lies in front of the camera, z > 0; 0 where it does not."""
    across, depth = jnp.max(jnp.abs(points[..., :2]), axis=-1), points[..., 2]
    in_front = (depth > 0) & (across <= depth * LARGEST_RATIO)  # NaN is not
    points = _or_forward(points, in_front)
    return points[..., :2] / points[..., 2:], in_front


def perspective_rays(plane: Float[Array, "*b 2"]) -> Float[Array, "*b 3"]:
    """Return (x, y, 1) / |(x, y, 1)|."""
    rays = jnp.concatenate([plane, jnp.ones_like(plane[..., :1])], axis=-1)
    return rays / jnp.sqrt(jnp.sum(rays * rays, axis=-1, keepdims=True))


def equidistant_plane(points: Float[Array, "*b 3"]) -> tuple[Float[Array, "*b 2"], Bool[Array, "*b"]]:
    """Return theta (x, y) / r with theta = atan2(r, z), and whether it is defined; 0 where it is not.

    It is undefined on the axis behind the camera, at the camera itself and for NaN.
    """
    across, depth = points[..., :2], points[..., 2]
    defined = jnp.all(jnp.isfinite(points), axis=-1) & ((jnp.sum(across * across, axis=-1) > 0) | (depth > 0))
    points = _or_forward(points, defined)
    across, depth = points[..., :2], points[..., 2]
    r2 = jnp.sum(across * across, axis=-1)
    near = (depth > 0) & (r2 < NEAR_AXIS * depth * depth)
    # theta / r = (1 - t/3 + t^2/5 - t^3/7) / z with t = (r/z)^2, in place of 0/0.
    safe_depth = jnp.where(near, depth, 1)
    t = jnp.where(near, r2, 0) / (safe_depth * safe_depth)
    series = (1 - t * (1 / 3 - t * (1 / 5 - t / 7))) / safe_depth
    r = jnp.sqrt(jnp.where(near, 1, r2))
    closed = jnp.arctan2(r, depth) / r
    factor = jnp.where(near, series, closed)
    return across * factor[..., None], defined


def equidistant_rays(plane: Float[Array, "*b 2"]) -> Float[Array, "*b 3"]:
    """Return (sin(theta) a / theta, cos(theta)) with theta = |a|: unit vectors."""
    t = jnp.sum(plane * plane, axis=-1)
    near = t < NEAR_AXIS
    small = jnp.where(near, t, 0)
    theta = jnp.sqrt(jnp.where(near, 1, t))
    sine = jnp.where(near, 1 - small / 6 * (1 - small / 20 * (1 - small / 42)), jnp.sin(theta) / theta)
    cosine = jnp.where(near, 1 - small / 2 * (1 - small / 12 * (1 - small / 30)), jnp.cos(theta))
    return jnp.concatenate([plane * sine[..., None], cosine[..., None]], axis=-1)


def _or_forward(points: Float[Array, "*b 3"], mask: Bool[Array, "*b"]) -> Float[Array, "*b 3"]:
    """Return (0, 0, 1) outside the mask, before anything is divided: 0 times NaN would reach the gradient."""
    return jnp.where(mask[..., None], points, jnp.broadcast_to(jnp.array([0, 0, 1], points.dtype), points.shape))
