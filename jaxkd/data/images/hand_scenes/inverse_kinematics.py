"""Joint angles of the hand whose keypoints are nearest to given ones, up to a similarity transform."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxkd.data.images.hand_scenes.articulation import (
    ANGLE_AXES,
    ANGLE_JOINTS,
    JOINT_ANGLES,
    angle_limits,
    joint_rotations,
)
from jaxkd.data.images.hand_scenes.mesh import MESH_JOINTS, MESH_PARENTS, HandMesh
from jaxkd.data.images.hand_scenes.skinning import KEYPOINT_JOINTS, keypoints, pose_joints
from jaxkd.geometry.rotations import fit_similarity
from jaxkd.records.hands import Side

_PALM = (0, 1, 5, 9, 13, 17)
"""Keypoints that hardly move in the frame of the wrist."""
_ANGLES = len(JOINT_ANGLES)
_LOWEST_DAMPING, _HIGHEST_DAMPING = 1e-7, 1e4
_START = 0.2
"""Flexion of the fingers' joints at the start, relative to their range: bent fingers tell which way they bend."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class FittedPoses:
    """Poses of a hand, fitted to keypoints: keypoint = scale * rotation @ (joint of the hand) + translation."""

    angles: Float[Array, "n angles"]
    """Angles of `JOINT_ANGLES`, in radians, within their limits."""
    wrist: Float[Array, "n 3 3"]
    """Orientation of the wrist in the frame of the keypoints."""
    translation: Float[Array, "n 3"]
    """Position of the wrist, in the unit of the keypoints."""
    scale: Float[Array, " n"]
    """Units of the keypoints per metre of the hand."""
    residual: Float[Array, " n"]
    """Mean distance of the 21 keypoints from those of the fitted hand, in metres at the size of the hand."""


def fit_poses(
    hand: HandMesh, landmarks: Float[np.ndarray, "n 21 3"], *, iterations: int = 15, batch: int = 512
) -> FittedPoses:
    """Return the poses within joint limits that minimise `sum_k |s R x_k(angles) + t - y_k|^2` for each frame.

    Levenberg-Marquardt steps with a fixed number of iterations: all frames cost the same, and are independent.  Angles
    at a limit stay there while the gradient points beyond it.

    Args:
        hand: mesh that is fitted; of the side that the landmarks are of.
        landmarks: y, the 21 usual keypoints in any unit, in a right-handed frame such as a camera's (x to the right, y
            down, z forward).
        iterations: number of steps.
        batch: number of frames that are computed together, which bounds the memory.

    Returns:
        Poses, float32 arrays of NumPy.  The residual says how well each fits: it is never dropped here.

    Raises:
        ValueError: landmarks of another shape, with NaN or infinite values, or that are all in one place.

    Source: Levenberg (1944), Marquardt (1963); projected steps as in Bertsekas (1982).  Deviation: a fixed number of
    iterations, and a damping relative to the mean diagonal of J^T J.
    """
    landmarks = np.asarray(landmarks)
    _require_landmarks(landmarks)
    if iterations < 1 or batch < 1:
        raise ValueError(f"iterations and batch must be at least 1, got {iterations} and {batch}.")
    fit = _fitter(hand.side, iterations)
    skeleton = dataclasses.replace(hand, vertices=hand.vertices[:0], normals=hand.normals[:0], weights=hand.weights[:0])
    parts = []
    for first in range(0, len(landmarks), batch):
        rows = landmarks[first : first + batch].astype(np.float64)
        # Removed here, in float64: far from the origin, float32 would round a hand.
        origins, sizes = rows[:, :1], np.sqrt(((rows - rows.mean(1, keepdims=True)) ** 2).sum((1, 2)))[:, None, None]
        padded = np.resize((rows - origins) / sizes, (batch, 21, 3)).astype(np.float32)
        found = jax.tree.map(np.asarray, fit(skeleton, padded))
        found = FittedPoses(**{name: leaf[: len(rows)] for name, leaf in vars(found).items()})
        parts.append(
            dataclasses.replace(
                found,
                translation=(found.translation * sizes[:, 0] + origins[:, 0]).astype(np.float32),
                scale=(found.scale * sizes[:, 0, 0]).astype(np.float32),
            )
        )
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def _require_landmarks(landmarks: np.ndarray) -> None:
    if landmarks.ndim != 3 or landmarks.shape[1:] != (21, 3) or len(landmarks) == 0:
        raise ValueError(f"landmarks must be [frames, 21, 3] with at least one frame, got {landmarks.shape}.")
    if not (finite := np.isfinite(landmarks).all((1, 2))).all():
        raise ValueError(
            f"landmarks must be finite, got NaN or infinite ones in {np.sum(~finite)} of {len(landmarks)} frames, the "
            f"first is {int(np.argmin(finite))}. Leave these frames out."
        )
    if not (apart := np.ptp(landmarks, axis=1).max(1) > 0).all():
        raise ValueError(
            f"landmarks must span a hand, got 21 equal points in frame {int(np.argmin(apart))}. Leave absent hands out."
        )


@functools.lru_cache(maxsize=8)
def _fitter(side: Side, iterations: int) -> Callable[[HandMesh, np.ndarray], FittedPoses]:
    def fit(hand: HandMesh, landmarks: Float[Array, "n 21 3"]) -> FittedPoses:
        # Accelerators multiply float32 matrices in fewer bits by default, which is too few for normal equations.
        with jax.default_matmul_precision("highest"):
            return jax.vmap(functools.partial(_fit, hand, iterations=iterations))(landmarks)

    return jax.jit(fit)


def _fit(hand: HandMesh, landmarks: Float[Array, "21 3"], *, iterations: int) -> FittedPoses:
    lowest, highest = (jnp.asarray(limit) for limit in angle_limits())
    angles = lowest + _START * (highest - lowest)
    state = (angles, *_aligned(_keypoints_and_slopes(hand, angles)[0], landmarks))
    # Errors are in units of the hand, so that the damping means the same in pixels and in metres.
    size = state[3]
    identity = jnp.eye(_ANGLES + 7)

    def difference(state):
        angles, wrist, translation, scale = state
        points, slopes = _keypoints_and_slopes(hand, angles)
        turned, turned_slopes = points @ wrist.T, slopes @ wrist.T
        error = (scale * turned + translation[None] - landmarks) / size
        return error, turned, turned_slopes

    def jacobian(state, turned, turned_slopes):
        """Rows of derivatives by angles, rotation vector, translation, and logarithm of the scale: [30, 21, 3]."""
        units = jnp.broadcast_to(jnp.eye(3)[:, None], (3, 21, 3))
        rotated = jnp.cross(units, jnp.broadcast_to(turned[None], (3, 21, 3)))
        return state[3] / size * jnp.concatenate([turned_slopes, rotated, units, turned[None]])

    def iterate(carry, _):
        state, damping, error, turned, turned_slopes = carry
        rows = jacobian(state, turned, turned_slopes).reshape(_ANGLES + 7, 63)
        gradient, normal = rows @ error.ravel(), rows @ rows.T
        beyond = jnp.concatenate([_beyond(state[0], gradient[:_ANGLES], lowest, highest), jnp.zeros(7, bool)])
        free = jnp.where(beyond, 0.0, 1.0)
        diagonal = damping * (jnp.diagonal(normal) + 1e-3 * jnp.trace(normal) / len(normal))
        damped = normal * free[:, None] * free[None] + identity * jnp.where(beyond, 1.0, diagonal)[None]
        moved = _moved(state, -jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(damped), gradient * free))
        moved = (jnp.clip(moved[0], lowest, highest), *moved[1:])
        found = difference(moved)
        better = (found[0] ** 2).sum() < (error**2).sum()
        kept = jax.tree.map(
            lambda new, old: jnp.where(better, new, old), (moved, *found), (state, error, turned, turned_slopes)
        )
        damping = jnp.clip(jnp.where(better, damping * 0.2, damping * 5), _LOWEST_DAMPING, _HIGHEST_DAMPING)
        return (kept[0], damping, *kept[1:]), None

    (state, _, error, *_), _ = jax.lax.scan(
        iterate, (state, jnp.array(1e-2), *difference(state)), None, length=iterations
    )
    angles, wrist, translation, scale = state
    residual = jnp.linalg.norm(error, axis=-1).mean() * size / scale
    return FittedPoses(angles=angles, wrist=wrist, translation=translation, scale=scale, residual=residual)


def _keypoints_and_slopes(
    hand: HandMesh, angles: Float[Array, " angles"]
) -> tuple[Float[Array, "21 3"], Float[Array, "angles 21 3"]]:
    """Return the keypoints of a hand whose wrist is upright, and their derivatives by each angle.

    A joint at p that turns about the unit axis a moves a keypoint x beyond it by a x (x - p) for each radian.
    """
    rotations = joint_rotations(angles, jnp.eye(3), side=hand.side)
    orientations, positions = pose_joints(hand, rotations, jnp.zeros(3))
    points = keypoints(positions)
    axes = (orientations[jnp.array(ANGLE_JOINTS)] * _local_axes(rotations, hand.side)[:, None]).sum(-1)
    arms = points[None] - positions[jnp.array(ANGLE_JOINTS)][:, None]
    slopes = jnp.cross(jnp.broadcast_to(axes[:, None], arms.shape), arms)
    return points, slopes * jnp.asarray(_MOVES, angles.dtype)[..., None]


def _local_axes(rotations: Float[Array, "25 3 3"], side: Side) -> Float[Array, "angles 3"]:
    """Return the axis of each angle in the frame of its turned joint.

    For L = Rx(-flexion) Ry Rz: -L^T e_x for flexion, Rz^T e_y for abduction, e_z for twist, the last two by side.
    """
    local = rotations[jnp.array(ANGLE_JOINTS)]
    flexion, twist = -local[:, 0], jnp.broadcast_to(jnp.eye(3)[2:], local[:, 0].shape)
    # Rz^T e_y = (sin z, cos z, 0), and the first row of L is (cos y cos z, -cos y sin z, sin y) with |y| < pi / 2.
    across = jnp.stack([-local[:, 0, 1], local[:, 0, 0], jnp.zeros(len(local))], axis=-1)
    abduction = across / jnp.linalg.norm(across, axis=-1, keepdims=True)
    axes = jnp.stack([flexion, abduction, twist])
    mirror = 1 if side == "right" else -1
    signs = jnp.array([1, mirror, mirror])[jnp.array(ANGLE_AXES)]
    return axes[jnp.array(ANGLE_AXES), jnp.arange(len(local))] * signs[:, None]


def _moves() -> np.ndarray:
    """Return whether a keypoint is beyond the joint of an angle: [angles 21]."""
    moves = np.zeros((len(MESH_JOINTS), len(MESH_JOINTS)), bool)
    for joint, parent in enumerate(MESH_PARENTS):
        if parent >= 0:
            moves[:, joint] = moves[:, parent]
            moves[parent, joint] = True
    return moves[ANGLE_JOINTS][:, list(KEYPOINT_JOINTS)]


_MOVES = _moves()


def _moved(state, step):
    """Return a state after a step in angles, rotation vector, translation, and logarithm of the scale."""
    angles, wrist, translation, scale = state
    return (
        angles + step[:_ANGLES],
        _cayley(step[_ANGLES : _ANGLES + 3]) @ wrist,
        translation + scale * step[_ANGLES + 3 : _ANGLES + 6],
        scale * jnp.exp(step[-1]),
    )


def _beyond(angles, gradient, lowest, highest):
    """Whether an angle is at a limit and descent would take it beyond."""
    return ((angles <= lowest) & (gradient > 0)) | ((angles >= highest) & (gradient < 0))


def _cayley(vector: Float[Array, "3"]) -> Float[Array, "3 3"]:
    """Return a rotation about `vector`, by its length to the third order: exactly a rotation for every vector."""
    x, y, z = vector / 2
    cross = jnp.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return jnp.eye(3) + 2 / (1 + x * x + y * y + z * z) * (cross + cross @ cross)


def _aligned(points: Float[Array, "21 3"], landmarks: Float[Array, "21 3"]):
    """Return rotation, translation and scale that take the palm of a hand to that of the landmarks (Umeyama, 1991)."""
    source, target = points[jnp.array(_PALM)], landmarks[jnp.array(_PALM)]
    found = fit_similarity(source, target, mask=jnp.ones(len(_PALM), bool))
    # A palm seen edge-on may have next to no size: the whole hand's is a floor.
    whole = jnp.sqrt(((landmarks - landmarks.mean(0)[None]) ** 2).sum() / ((points - points.mean(0)[None]) ** 2).sum())
    scale = jnp.clip(found.scale, whole / 3, whole * 3)
    return found.rotation, target.mean(0) - scale * found.rotation @ source.mean(0), scale
