"""Posed hands: joints by forward kinematics, vertices by linear blend skinning, and the 21 usual keypoints."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.data.images.hand_scenes.mesh import MESH_JOINTS, MESH_PARENTS, HandMesh

KEYPOINT_JOINTS: tuple[int, ...] = tuple(
    index for index, name in enumerate(MESH_JOINTS) if not name.endswith("-finger-metacarpal")
)
"""Joints of the mesh that are the 21 usual keypoints, in MediaPipe's order: the wrist, four of the thumb, and the
proximal, intermediate and distal joint and the tip of the index, middle, ring and pinky finger."""


def _levels() -> tuple[tuple[int, ...], ...]:
    """Return the joints by the number of bones between them and the wrist, from 1."""
    levels, placed = [], {0}
    while len(placed) < len(MESH_PARENTS):
        levels.append(tuple(j for j, parent in enumerate(MESH_PARENTS) if parent in placed and j not in placed))
        placed.update(levels[-1])
    return tuple(levels)


_LEVELS = _levels()
_ABOVE = (0, *MESH_PARENTS[1:])


def pose_joints(
    hand: HandMesh, rotations: Float[Array, "*b 25 3 3"], translation: Float[Array, "*b 3"]
) -> tuple[Float[Array, "*b 25 3 3"], Float[Array, "*b 25 3"]]:
    """Return the orientation of each joint, and its position in metres, by forward kinematics.

    With p the parent of joint j, orientations B and positions b at rest: R_j = R_p B_p^T B_j L_j and
    x_j = x_p + R_p B_p^T (b_j - b_p).  L_j is in the frame of joint j; L_0 is the orientation of the wrist in the
    world.  Bones keep the lengths that they have in the mesh.

    Args:
        hand: mesh, of which the joints are used.
        rotations: L, rotation of each joint relative to rest; identities are the rest pose.  Any frame may be the
            world.
        translation: position of the wrist in the world, in metres.

    Returns:
        Orientations and positions in the world, in the dtype of the inputs.

    Raises:
        ValueError: rotations that are not [..., 25, 3, 3], or translations that are not [..., 3].

    Source: inferred; the frames of joints are those of WebXR.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxkd.data.images.hand_scenes.mesh import HandMesh
        >>> straight = HandMesh(vertices=jnp.zeros((3, 3)), normals=jnp.ones((3, 3)), faces=jnp.array([[0, 1, 2]]),
        ...     weights=jnp.ones((3, 25)) / 25, rest_rotations=jnp.tile(jnp.eye(3), (25, 1, 1)),
        ...     rest_positions=jnp.arange(25.0)[:, None] * jnp.array([[0.0, 0.0, -0.01]]), side="right")
        >>> _, positions = pose_joints(straight, jnp.tile(jnp.eye(3), (25, 1, 1)), jnp.array([0.0, 0.0, 1.0]))
        >>> positions[4].round(2).tolist()
        [0.0, 0.0, 0.9599999785423279]
    """
    _require_pose(rotations, translation)
    turns = _product(_transposed(hand.rest_rotations[jnp.array(_ABOVE)]), jnp.asarray(hand.rest_rotations))
    offsets = hand.rest_positions - hand.rest_positions[jnp.array(_ABOVE)]
    steps = _apply(_transposed(hand.rest_rotations[jnp.array(_ABOVE)]), offsets)
    orientations = {0: rotations[..., 0, :, :]}
    positions = {0: translation}
    for level in _LEVELS:
        joints = jnp.array(level)
        above = jnp.stack([orientations[_ABOVE[joint]] for joint in level], axis=-3)
        start = jnp.stack([positions[_ABOVE[joint]] for joint in level], axis=-2)
        local = _product(jnp.broadcast_to(turns[joints], above.shape), rotations[..., joints, :, :])
        turned = _product(above, local)
        moved = start + _apply(above, jnp.broadcast_to(steps[joints], start.shape))
        orientations |= {joint: turned[..., place, :, :] for place, joint in enumerate(level)}
        positions |= {joint: moved[..., place, :] for place, joint in enumerate(level)}
    joints = range(len(MESH_JOINTS))
    return jnp.stack([orientations[j] for j in joints], axis=-3), jnp.stack([positions[j] for j in joints], axis=-2)


def skin(
    hand: HandMesh, orientations: Float[Array, "*b 25 3 3"], positions: Float[Array, "*b 25 3"]
) -> Float[Array, "*b v 3"]:
    """Return sum_j w_vj (R_j B_j^T (v - b_j) + x_j), the position of each vertex in metres: linear blend skinning.

    Args:
        hand: mesh, with the positions b and orientations B of its joints at rest.
        orientations: R, orientation of each joint in the world.
        positions: x, position of each joint in the world, in metres; `pose_joints` gives both.

    Returns:
        Vertices in the world.  At rest they are those of the mesh.

    Raises:
        ValueError: orientations that are not [..., 25, 3, 3], or positions that are not [..., 25, 3].

    Source: Magnenat-Thalmann, Laperriere and Thalmann (1988); glTF 2.0, section 3.7.3.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxkd.data.images.hand_scenes.mesh import HandMesh
        >>> rest = jnp.tile(jnp.eye(3), (25, 1, 1))
        >>> flat = HandMesh(vertices=jnp.eye(3), normals=jnp.eye(3), faces=jnp.array([[0, 1, 2]]),
        ...     weights=jnp.ones((3, 25)) / 25, rest_rotations=rest, rest_positions=jnp.zeros((25, 3)), side="right")
        >>> skin(flat, rest, jnp.ones((25, 3))).round(3).tolist()
        [[2.0, 1.0, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0, 2.0]]
    """
    if orientations.shape[-3:] != (25, 3, 3) or positions.shape != orientations.shape[:-1]:
        raise ValueError(
            f"orientations and positions must be [..., 25, 3, 3] and [..., 25, 3], got {orientations.shape} and "
            f"{positions.shape}. Take them from pose_joints."
        )
    turns = _turns(hand, orientations)
    shifts = positions - _apply(turns, jnp.broadcast_to(hand.rest_positions, positions.shape))
    blended = _blend(hand, jnp.concatenate([turns, shifts[..., None]], axis=-1))
    vertices = jnp.broadcast_to(hand.vertices, (*blended.shape[:-2], 3))
    return _apply(blended[..., :3], vertices) + blended[..., 3]


def skin_normals(hand: HandMesh, orientations: Float[Array, "*b 25 3 3"]) -> Float[Array, "*b v 3"]:
    """Return sum_j w_vj R_j B_j^T n_v, of length 1: the outward normal of each vertex of a posed hand.

    Args:
        hand: mesh.
        orientations: R, orientation of each joint in the world.

    Returns:
        Unit vectors.  They are exact where one joint moves a vertex, and usual for shading elsewhere.

    Source: as `skin`.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxkd.data.images.hand_scenes.mesh import HandMesh
        >>> rest = jnp.tile(jnp.eye(3), (25, 1, 1))
        >>> flat = HandMesh(vertices=jnp.eye(3), normals=jnp.eye(3), faces=jnp.array([[0, 1, 2]]),
        ...     weights=jnp.eye(3, 25), rest_rotations=rest, rest_positions=jnp.zeros((25, 3)), side="right")
        >>> skin_normals(flat, rest).tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    blended = _blend(hand, _turns(hand, orientations))
    normals = _apply(blended, jnp.broadcast_to(hand.normals, blended.shape[:-1]))
    return normals / jnp.maximum(jnp.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)


def keypoints(positions: Float[Array, "*b 25 3"]) -> Float[Array, "*b 21 3"]:
    """Return the 21 usual keypoints among the joints of the mesh, in MediaPipe's order.

    Args:
        positions: position of each joint, in any unit.

    Returns:
        Wrist, thumb (carpometacarpal, metacarpophalangeal, interphalangeal, tip), and for the index, middle, ring and
        pinky finger the metacarpophalangeal, proximal and distal interphalangeal joint and the tip.  The bases of the
        four fingers' metacarpal bones are left out.

    Raises:
        ValueError: another number of joints.

    Source: inferred from the names of joints in MediaPipe Hands and in WebXR.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> joints = jnp.arange(25.0)[:, None] * jnp.ones((25, 3))
        >>> keypoints(joints)[:7, 0].tolist()
        [0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 7.0]
    """
    if positions.shape[-2:] != (len(MESH_JOINTS), 3):
        raise ValueError(f"positions must be [..., {len(MESH_JOINTS)}, 3], joints of the mesh, got {positions.shape}.")
    return positions[..., jnp.array(KEYPOINT_JOINTS), :]


def _turns(hand: HandMesh, orientations: Float[Array, "*b 25 3 3"]) -> Float[Array, "*b 25 3 3"]:
    return _product(orientations, jnp.broadcast_to(_transposed(hand.rest_rotations), orientations.shape))


def _blend(hand: HandMesh, matrices: Float[Array, "*b 25 n m"]) -> Float[Array, "*b v n m"]:
    # Accelerators multiply float32 matrices in fewer bits by default: millimetres at arm's length.
    return jnp.einsum("vj,...jnm->...vnm", hand.weights, matrices, precision=jax.lax.Precision.HIGHEST)


def _transposed(matrices: Float[Array, "*b 3 3"]) -> Float[Array, "*b 3 3"]:
    return jnp.swapaxes(jnp.asarray(matrices), -1, -2)


def _product(left: Float[Array, "*b 3 3"], right: Float[Array, "*b 3 3"]) -> Float[Array, "*b 3 3"]:
    """Return matrix products as sums: exact in float32, and faster than a matrix product of this size."""
    return (left[..., :, :, None] * right[..., None, :, :]).sum(-2)


def _apply(matrices: Float[Array, "*b 3 3"], vectors: Float[Array, "*b 3"]) -> Float[Array, "*b 3"]:
    return (matrices * vectors[..., None, :]).sum(-1)


def _require_pose(rotations: Float[Array, "*b 25 3 3"], translation: Float[Array, "*b 3"]) -> None:
    if rotations.shape[-3:] != (25, 3, 3) or translation.shape != (*rotations.shape[:-3], 3):
        raise ValueError(
            f"rotations and translation must be [..., 25, 3, 3] and [..., 3], got {rotations.shape} and "
            f"{translation.shape}. Give a rotation for each of the 25 joints of the mesh."
        )
