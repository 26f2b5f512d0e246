"""One hand in one image: its joints, the camera of the image, and where in a headset's image it was."""

import dataclasses

import jax
from jaxtyping import Array, Bool, Float

from jaxkd.records.hands import JointOrder


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class HandView:
    """Labels of a crop that shows one hand, and the camera of the crop.

    The camera is a pinhole, turned towards the hand, and mirrored for a left hand, so that every hand looks like a
    right one: x_world = R x_camera + t.  On the host the fields are NumPy arrays.
    """

    pixels: Float[Array, "*b 21 2"]
    """Column and row of each joint in pixels of the crop, the centre of the first pixel being (0, 0).  They may lie
    outside."""
    points: Float[Array, "*b 21 3"]
    """Position of each joint in metres relative to the wrist, along the axes of the crop's camera: x to the right, y
    down, z forward."""
    root_depth: Float[Array, "*b"]
    """Distance of the wrist from the camera along z in metres; NaN where it is not known."""
    known: Bool[Array, "*b"]
    """Whether the labels above are known; where false, they hold anything finite, and the image counts in no loss."""
    rotation: Float[Array, "*b 3 3"]
    """R, from the axes of the crop's camera to those of the world; its determinant is -1 where the crop is mirrored."""
    translation: Float[Array, "*b 3"]
    """t, position of the camera in the world, in metres."""
    focal: Float[Array, "*b 2"]
    """Focal lengths of the crop, in its pixels."""
    centre: Float[Array, "*b 2"]
    """Principal point of the crop, in its pixels."""
    eccentricity: Float[Array, "*b"]
    """Distance of the crop's centre from the principal point of the image that it was cut from, in widths of that
    image."""
    order: JointOrder = dataclasses.field(metadata={"static": True})
    """Order of the joints."""
