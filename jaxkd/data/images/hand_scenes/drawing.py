"""A view of a hand: rendered as the camera's sensor has it, cropped, and labelled."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from jaxkd.data.images.hand_scenes.articulation import joint_rotations
from jaxkd.data.images.hand_scenes.hand_crops import CropError, CropKind, hand_crop
from jaxkd.data.images.hand_scenes.headset import IMAGE_SIZE
from jaxkd.data.images.hand_scenes.mesh import HandMesh
from jaxkd.data.images.hand_scenes.skinning import keypoints, pose_joints, skin, skin_normals
from jaxkd.geometry.cameras import Fisheye62, crop_image, cropped_camera, scaled_camera
from jaxkd.records.hand_views import HandView
from jaxkd.records.hands import MEDIAPIPE
from jaxkd.rendering import Light, SensorNoise, pixel_values, render
from jaxkd.typing import Key

WINDOW = 288
"""Side of the part of the sensor that is rendered, in pixels: as large as the largest crops."""

FINEST = 224
"""Side of the crop before it is made smaller."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class PosedHand:
    """A hand before, at and after the middle of an exposure, in the headset's frame.

    The image is the mean of the first and the last instant, and the labels are those of the middle.
    """

    angles: Float[Array, "3 angles"]
    """Angles of `JOINT_ANGLES`, in radians."""
    wrist: Float[Array, "3 3"]
    """Orientation of the wrist."""
    translations: Float[Array, "3 3"]
    """Position of the wrist at each instant, in metres."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """Colours, light and surroundings of a hand."""

    albedo: Float[Array, "v 3"]
    """Share of the light that each vertex of the hand reflects."""
    light: Light
    """Light, whose direction is in the headset's frame."""
    backdrop: Float[Array, "w w 3"]
    """Light from behind the hand, in [0, 1], of `WINDOW` pixels a side."""


@functools.partial(jax.jit, static_argnames=("kind", "side"))
def draw_view(
    hand: HandMesh,
    posed: PosedHand,
    look: Look,
    camera: Fisheye62,
    rotation: Float[Array, "3 3"],
    translation: Float[Array, "3"],
    error: CropError,
    key: Key,
    *,
    kind: CropKind,
    side: int,
) -> tuple[UInt8[Array, "s s 3"], HandView]:
    """Return the crop of a hand in one camera's image, and its labels.

    Args:
        hand: mesh.
        posed: pose and motion of the hand.
        look: colours and light.
        camera: of the image.
        rotation: orientation of the camera, x_world = R x_camera + t.
        translation: position of the camera.
        error: errors of the box that is cropped.
        key: key of the sensor's noise.
        kind: kind of the crop.
        side: side of the crop, in pixels, at most `FINEST`, from which it is made smaller.
    """
    wrists = jnp.broadcast_to(posed.wrist, (3, 3, 3))
    orientations, positions = pose_joints(
        hand, joint_rotations(posed.angles, wrists, side=hand.side), posed.translations
    )
    vertices = (skin(hand, orientations, positions) - translation[None, None]) @ rotation
    normals = skin_normals(hand, orientations) @ rotation
    joints = (keypoints(positions)[1] - translation[None]) @ rotation
    cut = hand_crop(joints, camera, error, kind=kind, mirror=hand.side == "left", resolution=FINEST)
    corner = jnp.round(cut.centre) - WINDOW // 2
    image = render(
        vertices[::2],
        hand.faces,
        look.albedo,
        project=cropped_camera(camera, corner=corner).project,
        light=dataclasses.replace(look.light, direction=look.light.direction @ rotation),
        background=pixel_values(look.backdrop),
        normals=normals[::2],
        noise=SensorNoise(),
        key=key,
    ).image
    seen = jnp.where(_on_sensor(corner)[..., None], image, 0)
    crop, _ = crop_image(seen, camera=cropped_camera(cut.source, corner=corner), crop=cut.crop, size=(FINEST, FINEST))
    crop = jax.image.resize(crop, (side, side, 3), "linear")
    small = scaled_camera(cut.crop.camera, scale=side / FINEST)
    points = cut.crop.to_crop(joints)
    offset = cut.centre - camera.centre
    return jnp.clip(jnp.round(crop), 0, 255).astype(jnp.uint8), HandView(
        pixels=(cut.pixels + 0.5) * (side / FINEST) - 0.5,
        points=points - points[:1],
        root_depth=points[0, 2],
        known=jnp.array(True),
        rotation=rotation @ cut.crop.rotation.T,
        translation=translation,
        focal=small.focal,
        centre=small.centre,
        eccentricity=jnp.sqrt(jnp.sum(offset * offset)) / IMAGE_SIZE[0],
        order=MEDIAPIPE,
    )


def _on_sensor(corner: Float[Array, "2"]) -> Array:
    """Return which pixels of the window the sensor has."""
    columns, rows = (jnp.arange(WINDOW) + corner[axis] for axis in range(2))
    width, height = IMAGE_SIZE
    inside = [(values >= 0) & (values <= length - 1) for values, length in ((columns, width), (rows, height))]
    return inside[1][:, None] & inside[0][None]
