"""Where a hand is before a headset, how it is turned and how it moves while the shutter is open."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32
from scipy.spatial.transform import Rotation

from jaxkd.data.images.hand_scenes.articulation import joint_rotations
from jaxkd.data.images.hand_scenes.hand_crops import LARGEST_REACH
from jaxkd.data.images.hand_scenes.headset import IMAGE_SIZE, Headset
from jaxkd.data.images.hand_scenes.mesh import HandMesh
from jaxkd.data.images.hand_scenes.skinning import keypoints, pose_joints

DISTANCES = (0.25, 0.55)
"""Metres from the headset to the wrist: arms are not longer."""
_AZIMUTH = (-45.0, 45.0)
_ELEVATION = (-45.0, 20.0)
_TURN = 30.0
"""Standard deviation, in degrees about each axis, of the turn of the whole hand beyond the recorded one."""
_SPEED = 0.25
"""Standard deviation of each component of the hand's velocity, in metres per second."""
_MARGIN = 8.0
"""Pixels from the border of an image within which no joint may be, nor from its corners the corner of a crop."""
_ATTEMPTS = 400

FACING = np.diag([-1.0, 1.0, -1.0])
"""Half a turn about the vertical: a recorded signer faces the camera, and the wearer of a headset sees the own hands
from behind."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Placement:
    """Orientation, position and velocity of the wrist in the headset's frame."""

    wrist: Float32[np.ndarray, "3 3"]
    translation: Float32[np.ndarray, "3"]
    """Position, in metres."""
    velocity: Float32[np.ndarray, "3"]
    """Velocity, in metres per second."""
    joints: Float32[np.ndarray, "21 3"]
    """Position of the usual keypoints, in metres."""


def draw_placement(
    rng: np.random.Generator,
    hand: HandMesh,
    headset: Headset,
    *,
    angles: Float[np.ndarray, " angles"],
    wrist: Float[np.ndarray, "3 3"],
) -> Placement:
    """Draw a place for a posed hand at which every camera has all of its joints in its image.

    Args:
        rng: source of randomness.
        hand: mesh.
        headset: cameras.
        angles: of `JOINT_ANGLES`, in radians.
        wrist: orientation of the wrist as it was recorded, seen from the front.

    Raises:
        ValueError: no such place after many attempts: the cameras do not look the same way.
    """
    for _ in range(_ATTEMPTS):
        turn = Rotation.from_rotvec(rng.normal(scale=np.radians(_TURN), size=3)).as_matrix()
        turned = (turn @ FACING @ wrist).astype(np.float32)
        azimuth, elevation = np.radians(rng.uniform(*_AZIMUTH)), np.radians(rng.uniform(*_ELEVATION))
        ahead = np.array([np.sin(azimuth) * np.cos(elevation), -np.sin(elevation), np.cos(azimuth) * np.cos(elevation)])
        translation = (rng.uniform(*DISTANCES) * ahead).astype(np.float32)
        joints = np.asarray(_joints(hand, angles.astype(np.float32), turned, translation))
        velocity = rng.normal(scale=_SPEED, size=3).astype(np.float32)
        if _in_all_images(headset, joints):
            return Placement(wrist=turned, translation=translation, velocity=velocity, joints=joints)
    raise ValueError(
        f"headset must have cameras that can see one hand at a time, got none in {_ATTEMPTS} attempts. Let them look "
        "the same way."
    )


def _in_all_images(headset: Headset, joints: Float32[np.ndarray, "21 3"]) -> bool:
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *headset.cameras)
    pixels = np.asarray(_projected(stacked, headset.rotations, headset.translations, joints))
    least, most = pixels.min(axis=1), pixels.max(axis=1)  # NaN is beyond a camera's field, and not inside
    inside = (least >= _MARGIN).all() and (most <= np.array(IMAGE_SIZE) - 1 - _MARGIN).all()
    # The corners of a crop are nearer to the centre than those of the image, which every camera's field holds.
    middle = (np.array(IMAGE_SIZE) - 1) / 2
    corners = np.linalg.norm((least + most) / 2 - middle, axis=1) + LARGEST_REACH * (most - least).max(axis=1)
    return bool(inside and (corners <= np.linalg.norm(middle) - _MARGIN).all())


@jax.jit
def _joints(
    hand: HandMesh, angles: Float[Array, " angles"], wrist: Float[Array, "3 3"], translation: Float[Array, "3"]
) -> Float[Array, "21 3"]:
    _, positions = pose_joints(hand, joint_rotations(angles, wrist, side=hand.side), translation)
    return keypoints(positions)


@jax.jit
def _projected(
    cameras: object, rotations: Float[Array, "v 3 3"], translations: Float[Array, "v 3"], joints: Float[Array, "21 3"]
) -> Float[Array, "v 21 2"]:
    def project(camera, rotation, translation):
        return camera.project(jnp.einsum("ji,nj->ni", rotation, joints - translation[None]))

    return jax.vmap(project)(cameras, rotations, translations)
