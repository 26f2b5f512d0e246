"""Angles of a hand's joints: which there are, how far each goes, and the rotations that they stand for."""

import dataclasses
from typing import Literal, TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxkd.data.images.hand_scenes.mesh import MESH_JOINTS, MESH_PARENTS, HandMesh
from jaxkd.records.hands import Side

JointMotion: TypeAlias = Literal["flexion", "abduction", "twist"]
"""Direction of a positive angle: flexion towards the palm, abduction towards the thumb, and twist about the bone, which
turns its thumb side towards the palm.  They mean the same on both hands."""

_MOTIONS: tuple[JointMotion, ...] = ("flexion", "abduction", "twist")


@dataclasses.dataclass(frozen=True, kw_only=True)
class JointAngle:
    """One angle of one joint, relative to the mesh at rest."""

    joint: str
    """Name of the joint, of `MESH_JOINTS`."""
    motion: JointMotion
    """Direction of the angle."""
    lowest: float
    """Lower limit, in degrees."""
    highest: float
    """Upper limit, in degrees."""


def _finger(name: str) -> tuple[JointAngle, ...]:
    knuckle = f"{name}-finger-phalanx-proximal"
    return (
        JointAngle(joint=knuckle, motion="flexion", lowest=-25, highest=95),
        JointAngle(joint=knuckle, motion="abduction", lowest=-22, highest=25),
        JointAngle(joint=f"{name}-finger-phalanx-intermediate", motion="flexion", lowest=-5, highest=115),
        JointAngle(joint=f"{name}-finger-phalanx-distal", motion="flexion", lowest=-5, highest=85),
    )


JOINT_ANGLES: tuple[JointAngle, ...] = (
    JointAngle(joint="thumb-metacarpal", motion="flexion", lowest=-35, highest=35),
    JointAngle(joint="thumb-metacarpal", motion="abduction", lowest=-40, highest=25),
    JointAngle(joint="thumb-metacarpal", motion="twist", lowest=-20, highest=25),
    JointAngle(joint="thumb-phalanx-proximal", motion="flexion", lowest=-10, highest=60),
    JointAngle(joint="thumb-phalanx-distal", motion="flexion", lowest=-20, highest=80),
    *_finger("index"),
    *_finger("middle"),
    JointAngle(joint="ring-finger-metacarpal", motion="flexion", lowest=-4, highest=8),
    *_finger("ring"),
    JointAngle(joint="pinky-finger-metacarpal", motion="flexion", lowest=-6, highest=15),
    *_finger("pinky"),
)
"""The 23 angles of a hand and their limits: hinges in the fingers, saddles in the knuckles and at the thumb's base.

The limits hold the seven recorded hands of `recorded_poses`, and are otherwise those of adults as textbooks give them,
to about 5 degrees, shifted by the small angles that the mesh has at rest.
"""

ANGLE_JOINTS = np.array([MESH_JOINTS.index(angle.joint) for angle in JOINT_ANGLES])
"""Index of the joint of each angle."""
ANGLE_AXES = np.array([_MOTIONS.index(angle.motion) for angle in JOINT_ANGLES])
"""Axis of each angle in the frame of its joint: 0 for flexion, 1 for abduction, 2 for twist."""


def angle_limits() -> tuple[Float[np.ndarray, " angles"], Float[np.ndarray, " angles"]]:
    """Return the lower and the upper limits of `JOINT_ANGLES`, in radians.

    Example:
        >>> lowest, highest = angle_limits()
        >>> lowest.shape, bool((lowest < highest).all())
        ((23,), True)
    """
    lowest, highest = zip(*((angle.lowest, angle.highest) for angle in JOINT_ANGLES), strict=True)
    return np.radians(np.array(lowest, np.float32)), np.radians(np.array(highest, np.float32))


def joint_rotations(
    angles: Float[Array, "*b angles"], wrist: Float[Array, "*b 3 3"], *, side: Side
) -> Float[Array, "*b 25 3 3"]:
    """Return Rx(-flexion) Ry(abduction) Rz(twist) of each joint, as `pose_joints` takes them.

    The signs of abduction and twist are those of a right hand, and the opposite ones for a left hand, so that the same
    angles give the mirrored pose.

    Args:
        angles: angles of `JOINT_ANGLES`, in radians; 0 is the mesh at rest.
        wrist: orientation of the wrist in the world.
        side: hand that is posed.

    Returns:
        Rotation of each joint relative to rest, in the dtype of `angles`; the first is `wrist`.

    Raises:
        ValueError: another number of angles.

    Source: inferred; the axes are those of the frames that WebXR gives to joints.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> rotations = joint_rotations(jnp.zeros(23), jnp.eye(3), side="left")
        >>> rotations.shape, float(abs(rotations - jnp.eye(3)[None]).max())
        ((25, 3, 3), 0.0)
    """
    if angles.shape[-1:] != (len(JOINT_ANGLES),):
        raise ValueError(f"angles must be [..., {len(JOINT_ANGLES)}], those of JOINT_ANGLES, got {angles.shape}.")
    full = (
        jnp.zeros((*angles.shape[:-1], len(MESH_JOINTS), 3), angles.dtype).at[..., ANGLE_JOINTS, ANGLE_AXES].set(angles)
    )
    cos, sin = jnp.cos(full), jnp.sin(full)
    mirror = 1 if side == "right" else -1
    cx, cy, cz = (cos[..., axis] for axis in range(3))
    sx, sy, sz = -sin[..., 0], mirror * sin[..., 1], mirror * sin[..., 2]
    # Rows of the product Rx Ry Rz.
    rows = [
        [cy * cz, -cy * sz, sy],
        [cx * sz + sx * sy * cz, cx * cz - sx * sy * sz, -sx * cy],
        [sx * sz - cx * sy * cz, sx * cz + cx * sy * sz, cx * cy],
    ]
    rotations = jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)
    return jnp.concatenate([wrist[..., None, :, :].astype(angles.dtype), rotations[..., 1:, :, :]], axis=-3)


def mirrored(wrist: Float[Array, "*b 3 3"]) -> Float[Array, "*b 3 3"]:
    """Return S R S with S = diag(-1, 1, 1): the orientation of the other hand's wrist in a mirror.

    With the same angles, it poses the other hand as the mirror image, x -> -x, of this one.

    Args:
        wrist: orientation R of a wrist.

    Returns:
        Rotation matrices.

    Source: definition.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> mirrored(jnp.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])).tolist()
        [[0.0, 1.0, -0.0], [-1.0, 0.0, 0.0], [-0.0, 0.0, 1.0]]
    """
    signs = jnp.array([[1, -1, -1], [-1, 1, 1], [-1, 1, 1]], wrist.dtype)
    return wrist * jnp.broadcast_to(signs, wrist.shape)


def joint_angles(rotations: Float[np.ndarray, "*b 25 3 3"], *, side: Side) -> Float[np.ndarray, "*b 25 3"]:
    """Return flexion, abduction and twist of each joint in radians, the inverse of `joint_rotations`.

    Args:
        rotations: rotation of each joint relative to rest.
        side: hand that is posed.

    Returns:
        The three angles of every joint, whether `JOINT_ANGLES` has them or not; abduction is in [-pi/2, pi/2].

    Raises:
        ValueError: rotations of another number of joints.

    Source: as `joint_rotations`.  Deviation: none.

    Example:
        >>> import numpy as np
        >>> angles = np.linspace(-0.1, 0.1, 23, dtype=np.float32)
        >>> found = joint_angles(np.asarray(joint_rotations(angles, np.eye(3), side="left")), side="left")
        >>> round(float(found[1, 0]), 4)  # the first of them: flexion at the thumb's base
        -0.1
    """
    if rotations.shape[-3:] != (len(MESH_JOINTS), 3, 3):
        raise ValueError(f"rotations must be [..., {len(MESH_JOINTS)}, 3, 3], one a joint, got {rotations.shape}.")
    flexion = -np.arctan2(-rotations[..., 1, 2], rotations[..., 2, 2])
    abduction = np.arcsin(np.clip(rotations[..., 0, 2], -1, 1))
    twist = np.arctan2(-rotations[..., 0, 1], rotations[..., 0, 0])
    mirror = 1 if side == "right" else -1
    return np.stack([flexion, mirror * abduction, mirror * twist], axis=-1)


def rotations_from_orientations(
    hand: HandMesh, orientations: Float[np.ndarray, "*b 25 3 3"]
) -> Float[np.ndarray, "*b 25 3 3"]:
    """Return the rotations relative to rest that give joints these orientations, L_j = B_j^T B_p R_p^T R_j.

    Args:
        hand: mesh, with orientations B at rest.
        orientations: R, orientation of each joint in the world.

    Returns:
        Rotations as `pose_joints` takes them; the first is the orientation of the wrist.

    Raises:
        ValueError: orientations of another number of joints.

    Source: the inverse of `pose_joints`.  Deviation: none.

    Example:
        >>> import numpy as np
        >>> from jaxkd.data.images.hand_scenes.mesh import HandMesh
        >>> rest = np.tile(np.eye(3), (25, 1, 1))
        >>> flat = HandMesh(vertices=np.eye(3), normals=np.eye(3), faces=np.array([[0, 1, 2]]),
        ...     weights=np.eye(3, 25), rest_rotations=rest, rest_positions=np.zeros((25, 3)), side="right")
        >>> bool((rotations_from_orientations(flat, rest) == rest).all())
        True
    """
    if orientations.shape[-3:] != (len(MESH_JOINTS), 3, 3):
        raise ValueError(
            f"orientations must be [..., {len(MESH_JOINTS)}, 3, 3], one a joint, got {orientations.shape}."
        )
    above, rest = np.array(MESH_PARENTS[1:]), np.asarray(hand.rest_rotations)
    expected = orientations[..., above, :, :] @ (np.swapaxes(rest[above], -1, -2) @ rest[1:])
    local = np.swapaxes(expected, -1, -2) @ orientations[..., 1:, :, :]
    return np.concatenate([orientations[..., :1, :, :], local], axis=-3)
