"""Seven poses of both hands, recorded by a headset's hand tracking."""

import dataclasses
import types
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import numpy as np
from jaxtyping import Float

from jaxkd.data.images.hand_scenes.articulation import rotations_from_orientations
from jaxkd.data.images.hand_scenes.mesh import MESH_JOINTS, HandMesh, Side
from jaxkd.runtime.registries.npm import NpmFile, fetch_npm

_HASHES = {
    "fist": "a0f5ee81460f160650bd0ad78ce6760ca1e3e711494698c280801c5712401c05",
    "flat": "692fb9196b348b71a816bade0e034d7bb2542efc199d0bfc5c3492c46cde7a1f",
    "horns": "dcb26a633d4ec22fb9f091b71966ee1d13a75ad8884e5861fc85faa23ce62668",
    "point": "52eef364502be88ce2209932de40ea842f15d1fb1880a6b6d3f42b450c565fae",
    "relax": "c9ad3f31eaffd4a66fdb6b2fb0fce4ec289627a8e92bc1b9301556771a48a629",
    "shaka": "d22ce44325e80e32d6df9fc5df3eb57db17800aa2949bad30a62c6a20b27a178",
    "vulcan": "d24bb51afb423497d464f12aa58cebbc57f53f2ac1648905a3d581979551330c",
}

POSE_FILES: Mapping[str, NpmFile] = types.MappingProxyType(
    {
        name: NpmFile(
            package="handy-work",
            version="3.1.13",
            archive_sha256="56cccbc9a468c6b271761a7c2ea1dd8613a0a1958601b1ab4fcff0fdf74a31b7",
            archive_size=191_608,
            member=f"poses/{name}.handpose",
            sha256=sha256,
        )
        for name, sha256 in _HASHES.items()
    }
)
"""Poses of handy-work (MIT, Ada Rose Cannon), by name, 3.4 kB each."""

_JOINTS = len(MESH_JOINTS)
_SIDES: tuple[Side, ...] = ("left", "right")
"""Order of the hands in a file."""
_ROUNDING = 1e-4
_FINGER_METACARPALS = [index for index, name in enumerate(MESH_JOINTS) if name.endswith("-finger-metacarpal")]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class RecordedPose:
    """Joints of one hand in one pose, in the frame of its wrist, as a headset tracked them."""

    name: str
    """Name of the pose."""
    side: Side
    """Which hand it is."""
    orientations: Float[np.ndarray, "25 3 3"]
    """Orientation of each joint, in the order of `MESH_JOINTS`."""
    positions: Float[np.ndarray, "25 3"]
    """Position of each joint, in metres.  The bones are those of the tracked hand, not of the mesh."""


def recorded_poses(side: Side) -> dict[str, RecordedPose]:
    """Return the recorded poses of a hand by name: fist, flat, horns, point, relax, shaka and vulcan.

    Raises:
        ConnectionError: the package is neither in the cache nor to be had from the registry.
        ValueError: another side.
    """
    if side not in get_args(Side):
        raise ValueError(f"side must be left or right, got {side!r}.")
    paths = fetch_npm(list(POSE_FILES.values()))
    return {name: read_recorded_pose(path)[side] for name, path in zip(POSE_FILES, paths, strict=True)}


def read_recorded_pose(path: Path | str) -> dict[Side, RecordedPose]:
    """Read a `.handpose` file: the number of joints, 4 x 4 matrices of the left hand and the right, and weights.

    Args:
        path: file; its name without the ending is the name of the pose.

    Returns:
        Pose of each hand.

    Raises:
        ValueError: another number of joints, a damaged file, or matrices that are no rigid transforms.

    Source: AdaRoseCannon/handy-work 3.1.13, src/handpose.js, for the layout.  Deviation: the weights, which serve to
    recognise a pose, are not read.
    """
    path = Path(path)
    content = path.read_bytes()
    values = np.frombuffer(content, "<f4", len(content) // 4)
    if len(values) == 0 or values[0] != _JOINTS:
        raise ValueError(
            f"{path} must have {_JOINTS} joints, got {values[0] if len(values) else 'nothing'}. Use a recording "
            "of a WebXR hand."
        )
    if len(content) != 4 * (1 + 2 * _JOINTS * 17):
        raise ValueError(
            f"{path} must have {4 * (1 + 2 * _JOINTS * 17)} bytes, got {len(content)}. It is damaged: fetch it again."
        )
    # Columns are stored one after another.
    matrices = values[1 : 1 + 2 * _JOINTS * 16].astype(np.float64).reshape(2, _JOINTS, 4, 4).swapaxes(-1, -2)
    rotations = matrices[..., :3, :3]
    deviation = np.abs(rotations @ rotations.swapaxes(-1, -2) - np.eye(3)).max()
    if not (deviation < _ROUNDING and (np.linalg.det(rotations) > 0).all()):
        raise ValueError(
            f"{path} must have rigid transforms, got matrices whose rotation part differs from a rotation by "
            f"{deviation:g}. The file is damaged: fetch it again."
        )
    left, _, right = np.linalg.svd(rotations)
    poses = {}
    for side, turned, moved in zip(_SIDES, left @ right, matrices[..., :3, 3], strict=True):
        orientations, positions = turned[0].T @ turned, (moved - moved[:1]) @ turned[0]
        poses[side] = RecordedPose(name=path.stem, side=side, orientations=orientations, positions=positions)
    return poses


def pose_rotations(hand: HandMesh, pose: RecordedPose) -> Float[np.ndarray, "25 3 3"]:
    """Return the rotations relative to rest that give a mesh a recorded pose, as `pose_joints` takes them.

    The metacarpal bones of the four fingers stay at rest: they are the same in all recordings, and 12 degrees from
    those of the mesh, whose knuckles are nevertheless where the recorded ones are.

    Args:
        hand: mesh of the same side.
        pose: recorded pose.

    Returns:
        Rotations in float32, with the wrist upright in its own frame.  Bones keep the lengths of the mesh.

    Raises:
        ValueError: a pose of the other hand.

    Source: inferred.  Deviation: none.

    Example:
        >>> import numpy as np
        >>> from jaxkd.data.images.hand_scenes.mesh import HandMesh
        >>> rest = np.tile(np.eye(3, dtype=np.float32), (25, 1, 1))
        >>> hand = HandMesh(vertices=np.eye(3), normals=np.eye(3), faces=np.array([[0, 1, 2]]),
        ...     weights=np.eye(3, 25), rest_rotations=rest, rest_positions=np.zeros((25, 3)), side="left")
        >>> flat = RecordedPose(name="flat", side="left", orientations=rest, positions=np.zeros((25, 3)))
        >>> bool((pose_rotations(hand, flat) == rest).all())
        True
    """
    if hand.side != pose.side:
        raise ValueError(f"pose must be of the hand's side, {hand.side}, got {pose.name!r} of the {pose.side} hand.")
    orientations = pose.orientations.copy()
    orientations[_FINGER_METACARPALS] = np.asarray(hand.rest_rotations)[_FINGER_METACARPALS]
    return rotations_from_orientations(hand, orientations).astype(np.float32)
