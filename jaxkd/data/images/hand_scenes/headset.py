"""A headset with four fisheye cameras, no two of which are calibrated alike."""

import dataclasses

import numpy as np
from jaxtyping import Float32
from scipy.spatial.transform import Rotation

from jaxkd.geometry.cameras import Fisheye62

IMAGE_SIZE = (636, 480)
"""Width and height of a camera's image, in pixels."""

VIEWS = ("upper left", "upper right", "lower left", "lower right")
"""Names of the cameras, as the wearer has them."""

_FOCAL = 190.0
_DISTORTION = np.array([0.26, 0.13, -0.38, 0.31, 1e-3, -7e-4, -0.12, 0.02])
"""Typical coefficients of such a camera."""

_PLACES = np.array([[-0.075, -0.03, 0.02], [0.075, -0.03, 0.02], [-0.07, 0.03, 0.01], [0.07, 0.03, 0.01]])
_YAW = np.array([-20.0, 20.0, -30.0, 30.0])
_PITCH = np.array([5.0, 5.0, -30.0, -30.0])
"""Degrees to the right and up of the wearer's line of sight."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Headset:
    """Cameras of one headset, in the order of `VIEWS`.

    The world is the headset's frame, with its origin between the eyes: x to the right, y down, z forward.
    """

    cameras: tuple[Fisheye62, ...]
    rotations: Float32[np.ndarray, "v 3 3"]
    """Orientation of each camera, x_world = R x_camera + t."""
    translations: Float32[np.ndarray, "v 3"]
    """Position of each camera, in metres."""


def draw_headset(rng: np.random.Generator) -> Headset:
    """Draw a headset: where its cameras are and look, to millimetres and degrees, and their intrinsics.

    Args:
        rng: source of randomness.

    Returns:
        Cameras of images of `IMAGE_SIZE`, whose positions differ from the usual ones by some 4 mm and whose directions
        by some 3 degrees.

    Example:
        >>> import numpy as np
        >>> headset = draw_headset(np.random.default_rng(0))
        >>> headset.rotations.shape, len(headset.cameras)
        ((4, 3, 3), 4)
    """
    count = len(VIEWS)
    angles = np.stack([_YAW, _PITCH, np.zeros(count)], axis=1) + rng.normal(scale=3.0, size=(count, 3))
    centre = (np.array(IMAGE_SIZE) - 1) / 2
    cameras = tuple(
        Fisheye62(
            focal=(_FOCAL * (1 + rng.normal(scale=0.01)) * (1 + rng.normal(scale=0.002, size=2))).astype(np.float32),
            centre=(centre + rng.normal(scale=3.0, size=2)).astype(np.float32),
            distortion=(_DISTORTION * (1 + rng.normal(scale=0.02))).astype(np.float32),
        )
        for _ in range(count)
    )
    return Headset(
        cameras=cameras,
        # Yaw about y takes z to x, and pitch about x takes z to -y: up.
        rotations=Rotation.from_euler("YXZ", angles, degrees=True).as_matrix().astype(np.float32),
        translations=(_PLACES + rng.normal(scale=0.004, size=_PLACES.shape)).astype(np.float32),
    )
