"""Rotations, rigid transforms of points, and the alignment of one set of points with another."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

ROTATION_TOLERANCE = 1e-5
"""Largest entry of R^T R - I that passes for rounding: float32 leaves about 1e-6."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Similarity:
    """A similarity transform: x -> scale * rotation @ x + translation."""

    scale: Float[Array | np.ndarray, "*b"]
    """Factor > 0; 1 for a rigid transform."""
    rotation: Float[Array | np.ndarray, "*b 3 3"]
    """Rotation matrix, determinant 1."""
    translation: Float[Array | np.ndarray, "*b 3"]
    """Shift, in the unit of the target."""

    def __call__(self, points: Float[Array, "*b n 3"]) -> Float[Array, "*b n 3"]:
        """Return scale * rotation @ x + translation for each point."""
        turned = jnp.einsum("...ij,...nj->...ni", self.rotation, points)
        return jnp.asarray(self.scale)[..., None, None] * turned + jnp.asarray(self.translation)[..., None, :]


def minimal_rotation(start: Float[Array, "*b 3"], end: Float[Array, "*b 3"]) -> Float[Array, "*b 3 3"]:
    """Return the rotation by the smallest angle with R start / ||start|| = end / ||end||.

    R = I + [v] + [v]^2 / (1 + c), with v = start x end and c = start . end of the unit vectors; [v] x = v x x.

    Args:
        start: direction of any length > 0.
        end: direction of any length > 0.

    Returns:
        Rotation matrices, float32 (float64 if an input is).  Opposite directions have many such rotations: one half
        turn is returned, with a gradient of 0.  A direction of length 0 gives the identity.

    Raises:
        ValueError: directions that are not two arrays [..., 3] of one shape.

    Source: Rodrigues' formula.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> minimal_rotation(jnp.array([1.0, 0.0, 0.0]), jnp.array([0.0, 2.0, 0.0])).tolist()
        [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    if start.shape != end.shape or start.shape[-1:] != (3,):
        raise ValueError(f"start and end must both be [..., 3], got {start.shape} and {end.shape}.")
    dtype = jnp.promote_types(jnp.float32, jnp.promote_types(start.dtype, end.dtype))
    start, end = start.astype(dtype), end.astype(dtype)
    lengths_squared = jnp.stack([jnp.sum(one * one, axis=-1) for one in (start, end)])
    defined = jnp.all(lengths_squared > 0, axis=0)
    along = jnp.broadcast_to(jnp.array([0, 0, 1], dtype), start.shape)
    start, end = _unit(start, along, defined), _unit(end, along, defined)
    cosine = jnp.sum(start * end, axis=-1)
    cross = jnp.cross(start, end)
    sine_squared = jnp.sum(cross * cross, axis=-1)
    obtuse = cosine < 0
    opposite = obtuse & (sine_squared < (16 * jnp.finfo(dtype).eps) ** 2)
    # 1 / (1 + c) = (1 - c) / |v|^2, which keeps its digits near c = -1.
    obtuse_factor = (1 - cosine) / jnp.where(obtuse & ~opposite, sine_squared, 1)
    factor = jnp.where(obtuse, obtuse_factor, 1 / (1 + jnp.where(obtuse, 0, cosine)))
    matrix = _cross_matrix(cross)
    identity = jnp.broadcast_to(jnp.eye(3, dtype=dtype), matrix.shape)
    rotation = identity + matrix + matrix @ matrix * factor[..., None, None]
    return jnp.where(opposite[..., None, None], _half_turn(jax.lax.stop_gradient(start)), rotation)


def rotation_error(rotation: Float[Array, "*b 3 3"]) -> Float[Array, "*b"]:
    """Return max abs(R^T R - I), or infinity where the determinant is not positive: 0 for a rotation matrix.

    Args:
        rotation: matrices.

    Returns:
        Per matrix, float32 (float64 if the input is), >= 0; infinity for a mirror or a NaN.

    Raises:
        ValueError: arrays that are not [..., 3, 3].

    Source: definition.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> rotation_error(jnp.eye(3)).item(), rotation_error(2 * jnp.eye(3)).item(), rotation_error(-jnp.eye(3)).item()
        (0.0, 3.0, inf)
    """
    if rotation.shape[-2:] != (3, 3):
        raise ValueError(f"rotation must hold matrices, shape [..., 3, 3], got {rotation.shape}.")
    rotation = rotation.astype(jnp.promote_types(jnp.float32, rotation.dtype))
    product = jnp.einsum("...ki,...kj->...ij", rotation, rotation)
    error = jnp.max(jnp.abs(product - jnp.broadcast_to(jnp.eye(3, dtype=product.dtype), product.shape)), axis=(-2, -1))
    first, second, third = (rotation[..., row, :] for row in range(3))
    determinant = jnp.sum(first * jnp.cross(second, third), axis=-1)
    return jnp.where((determinant > 0) & jnp.isfinite(error), error, jnp.inf)


def check_rotation(rotation: Float[Array, "*b 3 3"], *, name: str = "rotation") -> None:
    """Raise unless each matrix is a rotation: R^T R = I within 1e-5, and a positive determinant.

    It runs on the host and has no place under `jax.jit`: check extrinsics once, when they are read.

    Args:
        rotation: matrices, of which there may be any number.
        name: what the matrix is called in the message, such as a file and a key.

    Returns:
        None.

    Raises:
        ValueError: a matrix that scales, shears or mirrors, holds NaN, or is none.

    Source: definition.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> check_rotation(jnp.eye(3), name="camera 2")
        >>> check_rotation(jnp.diag(jnp.array([1.0, 1.0, -1.0])), name="camera 3")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: camera 3 must be a rotation, got a matrix with the determinant -1: it mirrors. ...
    """
    matrices = np.asarray(rotation, np.float64)
    if matrices.shape[-2:] != (3, 3):
        raise ValueError(f"{name} must hold matrices, shape [..., 3, 3], got {matrices.shape}.")
    for matrix in matrices.reshape(-1, 3, 3):
        error = np.max(np.abs(matrix.T @ matrix - np.eye(3)))
        if not error <= ROTATION_TOLERANCE:  # NaN does not
            raise ValueError(
                f"{name} must be a rotation, got a matrix whose R^T R differs from the identity by {error:.2g}: "
                f"{matrix.tolist()}. Take the scale out of it, or project it onto the rotations by an SVD."
            )
        if np.linalg.det(matrix) < 0:
            raise ValueError(
                f"{name} must be a rotation, got a matrix with the determinant -1: it mirrors. An axis points the "
                "other way; camera coordinates have x to the right, y down and z forward."
            )


def to_world(
    points: Float[Array, "*b n 3"], *, rotation: Float[Array, "*b 3 3"], translation: Float[Array, "*b 3"]
) -> Float[Array, "*b n 3"]:
    """Return x_world = R x_camera + t, in metres: points of a camera in the world, by the pose of the camera.

    Args:
        points: in camera coordinates (x to the right, y down, z forward).
        rotation: of the camera's pose; its columns are the camera's axes in the world.
        translation: position of the camera in the world.

    Returns:
        Points in the world, in the wider of the dtypes.

    Raises:
        ValueError: shapes that do not agree.

    Source: definition.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> to_world(jnp.array([[0.0, 0.0, 2.0]]), rotation=jnp.eye(3), translation=jnp.array([1.0, 0.0, 0.0])).tolist()
        [[1.0, 0.0, 2.0]]
    """
    _require_pose(points, rotation, translation)
    return jnp.einsum("...ij,...nj->...ni", rotation, points) + translation[..., None, :]


def to_camera(
    points: Float[Array, "*b n 3"], *, rotation: Float[Array, "*b 3 3"], translation: Float[Array, "*b 3"]
) -> Float[Array, "*b n 3"]:
    """Return x_camera = R^T (x_world - t), in metres; undoes `to_world`.

    Args:
        points: in the world.
        rotation: of the camera's pose, as in `to_world`: not the matrix of the extrinsics, which is its transpose.
        translation: position of the camera in the world.

    Returns:
        Points in camera coordinates, in the wider of the dtypes.

    Raises:
        ValueError: shapes that do not agree.

    Source: definition.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> to_camera(jnp.array([[1.0, 0.0, 2.0]]), rotation=jnp.eye(3), translation=jnp.ones(3)).tolist()
        [[0.0, -1.0, 1.0]]
    """
    _require_pose(points, rotation, translation)
    return jnp.einsum("...ji,...nj->...ni", rotation, points - translation[..., None, :])


def fit_similarity(
    points: Float[Array, "*b n 3"], target: Float[Array, "*b n 3"], *, mask: Bool[Array, "*b n"]
) -> Similarity:
    """Return the scale s, rotation R and translation t with the least sum of ||s R x + t - y||^2 over the mask.

    Args:
        points: x; values outside the mask may be anything, NaN included.
        target: y; the same.
        mask: pairs that count.

    Returns:
        The transform, always finite where the masked pairs are, float32 (float64 if an input is).  Points in a line
        leave a rotation open and get one of the best; equal points get the scale 1 and the identity, no points the
        identity. Not meant to be differentiated: the derivative of an SVD is infinite where singular values are equal.

    Raises:
        ValueError: shapes that do not agree.

    Source: Umeyama (1991), equations 34 to 43; the least squares of Procrustes.  Deviation: scale 1 where the points
    have no extent.

    Example:
        >>> import jax.numpy as jnp
        >>> points = jnp.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        >>> fit = fit_similarity(points, 3 * points + 1, mask=jnp.ones(3, bool))
        >>> round(fit.scale.item(), 5), fit.translation.round(5).tolist()
        (3.0, [1.0, 1.0, 1.0])
    """
    return _fit(points, target, mask, scaled=True)


def fit_rigid(
    points: Float[Array, "*b n 3"], target: Float[Array, "*b n 3"], *, mask: Bool[Array, "*b n"]
) -> Similarity:
    """Return the rotation R and translation t with the least sum of ||R x + t - y||^2 over the mask; the scale is 1.

    Args:
        points: x; values outside the mask may be anything, NaN included.
        target: y, in the same unit.
        mask: pairs that count.

    Returns:
        The transform, as `fit_similarity` describes it.

    Raises:
        ValueError: shapes that do not agree.

    Source: Kabsch (1976); Umeyama (1991), equations 40 and 42 with c = 1.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> points = jnp.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        >>> fit_rigid(points, points + 1, mask=jnp.ones(3, bool)).translation.round(5).tolist()
        [1.0, 1.0, 1.0]
    """
    return _fit(points, target, mask, scaled=False)


def similarity_alignment(
    points: Float[Array, "*b n 3"], target: Float[Array, "*b n 3"], *, mask: Bool[Array, "*b n"]
) -> Float[Array, "*b n 3"]:
    """Return s R x + t, the points moved onto the target by `fit_similarity`: what PA-MPJPE compares.

    Args:
        points: x; values outside the mask may be anything, NaN included.
        target: y; the same.
        mask: pairs that count.

    Returns:
        Aligned points, float32 (float64 if an input is).  Points outside the mask are moved along where they are
        finite, and are 0 where they are not.

    Raises:
        ValueError: shapes that do not agree.

    Source: Umeyama (1991).  Deviation: as `fit_similarity`.

    Example:
        >>> import jax.numpy as jnp
        >>> points = jnp.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        >>> aligned = similarity_alignment(points, 3 * points + 1, mask=jnp.ones(3, bool))
        >>> jnp.abs(aligned - (3 * points + 1)).max().item() < 1e-5
        True
    """
    return _moved(fit_similarity(points, target, mask=mask), points, mask)


def rigid_alignment(
    points: Float[Array, "*b n 3"], target: Float[Array, "*b n 3"], *, mask: Bool[Array, "*b n"]
) -> Float[Array, "*b n 3"]:
    """Return R x + t, the points moved onto the target by `fit_rigid`.

    Args:
        points: x; values outside the mask may be anything, NaN included.
        target: y, in the same unit.
        mask: pairs that count.

    Returns:
        Aligned points, as `similarity_alignment` returns them.

    Raises:
        ValueError: shapes that do not agree.

    Source: Kabsch (1976).  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> points = jnp.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        >>> jnp.abs(rigid_alignment(points, points + 1, mask=jnp.ones(3, bool)) - points - 1).max().item() < 1e-5
        True
    """
    return _moved(fit_rigid(points, target, mask=mask), points, mask)


def _fit(
    points: Float[Array, "*b n 3"], target: Float[Array, "*b n 3"], mask: Bool[Array, "*b n"], *, scaled: bool
) -> Similarity:
    if points.shape != target.shape or points.shape[-1:] != (3,) or mask.shape != points.shape[:-1]:
        raise ValueError(
            "points, target and mask must be [..., n, 3], [..., n, 3] and [..., n], got "
            f"{points.shape}, {target.shape} and {mask.shape}."
        )
    dtype = jnp.promote_types(jnp.float32, jnp.promote_types(points.dtype, target.dtype))
    points, target = (jnp.where(mask[..., None], one.astype(dtype), 0) for one in (points, target))
    count = jnp.maximum(jnp.sum(mask, axis=-1, dtype=dtype), 1)[..., None, None]
    largest = jnp.max(jnp.abs(points), axis=(-2, -1))
    means = [jnp.sum(one, axis=-2, keepdims=True) / count for one in (points, target)]
    points, target = (
        jnp.where(mask[..., None], one - mean, 0) for one, mean in zip((points, target), means, strict=True)
    )
    covariance = jnp.einsum("...ni,...nj->...ij", target, points)
    left, values, right = jnp.linalg.svd(covariance, full_matrices=False)
    sign = jnp.sign(_determinant(left) * _determinant(right))
    signs = jnp.stack([jnp.ones_like(sign), jnp.ones_like(sign), sign], axis=-1)
    rotation = jnp.einsum("...ik,...k,...kj->...ij", left, signs, right)
    identity = jnp.broadcast_to(jnp.eye(3, dtype=dtype), rotation.shape)
    square = jnp.sum(points * points, axis=(-2, -1))
    # Equal points differ from their mean by rounding, which is no extent.
    extended = square > count[..., 0, 0] * (4 * jnp.finfo(dtype).eps * largest) ** 2
    rotation = jnp.where(extended[..., None, None], rotation, identity)
    scale = jnp.sum(values * signs, axis=-1) / jnp.where(extended, square, 1)
    scale = jnp.where(scaled & extended, scale, 1)
    middle, target_middle = (mean[..., 0, :] for mean in means)
    turned = jnp.einsum("...ij,...j->...i", rotation, middle)
    return Similarity(scale=scale, rotation=rotation, translation=target_middle - scale[..., None] * turned)


def _moved(transform: Similarity, points: Float[Array, "*b n 3"], mask: Bool[Array, "*b n"]) -> Float[Array, "*b n 3"]:
    kept = (mask | jnp.all(jnp.isfinite(points), axis=-1))[..., None]
    return jnp.where(kept, transform(jnp.where(kept, points, 0)), 0)


def _determinant(matrix: Float[Array, "*b 3 3"]) -> Float[Array, "*b"]:
    return jnp.sum(matrix[..., 0, :] * jnp.cross(matrix[..., 1, :], matrix[..., 2, :]), axis=-1)


def _unit(
    direction: Float[Array, "*b 3"], instead: Float[Array, "*b 3"], defined: Bool[Array, "*b"]
) -> Float[Array, "*b 3"]:
    direction = jnp.where(defined[..., None], direction, instead)
    return direction / jnp.sqrt(jnp.sum(direction * direction, axis=-1, keepdims=True))


def _cross_matrix(vector: Float[Array, "*b 3"]) -> Float[Array, "*b 3 3"]:
    x, y, z = (vector[..., axis] for axis in range(3))
    zero = jnp.zeros_like(x)
    rows = [[zero, -z, y], [z, zero, -x], [-y, x, zero]]
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)


def _half_turn(direction: Float[Array, "*b 3"]) -> Float[Array, "*b 3 3"]:
    """Return 2 u u^T - I for a unit vector u at right angles to the direction."""
    identity = jnp.eye(3, dtype=direction.dtype)
    smallest = identity[jnp.argmin(jnp.abs(direction), axis=-1)]
    axis = jnp.cross(direction, smallest)
    axis = axis / jnp.sqrt(jnp.sum(axis * axis, axis=-1, keepdims=True))
    turn = 2 * axis[..., :, None] * axis[..., None, :]
    return turn - jnp.broadcast_to(identity, turn.shape)


def _require_pose(points: Float[Array, "..."], rotation: Float[Array, "..."], translation: Float[Array, "..."]) -> None:
    leading = points.shape[:-2]
    if points.shape[-1:] != (3,) or rotation.shape != (*leading, 3, 3) or translation.shape != (*leading, 3):
        raise ValueError(
            "points, rotation and translation must be [..., n, 3], [..., 3, 3] and [..., 3], got "
            f"{points.shape}, {rotation.shape} and {translation.shape}."
        )
