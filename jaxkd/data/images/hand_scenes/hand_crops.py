"""Crops around a hand in the image of a headset's camera: what a detector of hands would give."""

import dataclasses
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxkd.geometry.cameras import Camera, CropCamera, Fisheye62, Pinhole, perspective_crop
from jaxkd.records.hands import MEDIAPIPE

CropKind: TypeAlias = Literal["perspective", "plain"]
"""A camera that is turned towards the hand, or a square of the image, taken for that of a camera that looks straight
ahead."""

BOX_SCALE = 1.6
"""Side of a crop over the longer side of the box of the joints, without errors."""

_JITTER = 0.04
"""Standard deviation of a crop's place and of the logarithm of its size, relative to its size."""
_TILT = np.radians(8.0)
"""Standard deviation of a crop's in-plane angle."""
_FARTHEST = 2.0
"""Largest error, in standard deviations."""
LARGEST_REACH = BOX_SCALE * (np.exp(_FARTHEST * _JITTER) / np.sqrt(2) + _FARTHEST * _JITTER * np.sqrt(2))
"""Distance of a crop's farthest corner from the middle of the joints' box, over the longer side of that, at most."""
_WRIST, _MIDDLE = MEDIAPIPE.indices("wrist", "middle_mcp")


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class CropError:
    """Errors of the detector that a crop comes from, whose box and angle are else the truth's.

    On the host the fields are NumPy arrays.
    """

    shift: Float[Array, "2"]
    """Shift of the centre, in sides of the crop."""
    scale: Float[Array, ""]
    """Factor of the size."""
    angle: Float[Array, ""]
    """Turn of the crop, in radians."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class HandCrop:
    """Crop of an image, and the camera that the image is read through."""

    crop: CropCamera
    """Rotation and intrinsics of the crop."""
    source: Camera
    """Camera that the image is taken for: its own, or, of a plain crop, a pinhole that looks at the crop's centre."""
    centre: Float[Array, "2"]
    """Centre of the box, in pixels of the image."""
    pixels: Float[Array, "21 2"]
    """Column and row of each joint in pixels of the crop."""


def draw_crop_error(rng: np.random.Generator) -> CropError:
    """Draw the errors of one crop.

    Example:
        >>> import numpy as np
        >>> abs(float(draw_crop_error(np.random.default_rng(0)).scale) - 1) < 0.2
        True
    """
    right, down, larger, turn = np.clip(rng.normal(size=4), -_FARTHEST, _FARTHEST)
    drawn = {"shift": _JITTER * np.array([right, down]), "scale": np.exp(_JITTER * larger), "angle": _TILT * turn}
    fields: dict[str, Any] = {name: np.asarray(value, np.float32) for name, value in drawn.items()}
    return CropError(**fields)


def hand_crop(
    joints: Float[Array, "21 3"],
    camera: Fisheye62,
    error: CropError,
    *,
    kind: CropKind,
    mirror: bool,
    resolution: int,
) -> HandCrop:
    """Return the square crop around the joints in which the hand points up.

    Args:
        joints: positions in the camera's coordinates, in metres, in MediaPipe's order.
        camera: of the image.
        error: what the detector gets wrong.
        kind: kind of the crop.
        mirror: whether x changes its sign, so that a left hand looks like a right one.
        resolution: side of the crop, in pixels.
    """
    pixels = camera.project(joints)
    least, most = jnp.min(pixels, axis=0), jnp.max(pixels, axis=0)
    size = BOX_SCALE * jnp.max(most - least) * error.scale
    centre = (least + most) / 2 + size * error.shift
    source = camera if kind == "perspective" else Pinhole(focal=camera.focal, centre=centre)
    rays = joints if kind == "perspective" else source.unproject(pixels)
    upright = perspective_crop(source, centre, size, resolution=resolution)
    along = upright.camera.project(upright.to_crop(rays[jnp.array([_WRIST, _MIDDLE])]))
    right, down = along[1] - along[0]
    crop = upright.turned(error.angle - jnp.arctan2(down, right) - jnp.pi / 2)
    signs = jnp.array([-1.0 if mirror else 1.0, 1.0, 1.0])
    crop = dataclasses.replace(crop, rotation=signs[:, None] * crop.rotation)
    return HandCrop(crop=crop, source=source, centre=centre, pixels=crop.camera.project(crop.to_crop(rays)))
