"""Images of hands with their cameras, boxes and joints, in metres and in one convention for all data sets."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from jaxtyping import Bool, Float

from jaxkd.records.hand_checks import require_hands
from jaxkd.records.hands import SIDES, HandJoints, JointOrder

_ROTATION_TOLERANCE = 1e-3
"""Greatest entry of R R^T - I of a rotation: files have six digits or fewer."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class HandCamera:
    """Camera of an image: x_world = R x_camera + t, with x to the right, y down and z forward, in metres."""

    name: str
    """Name of the camera within its data set."""
    intrinsics: Float[np.ndarray, "3 3"]
    """Matrix K of the pinhole camera, in pixels; the centre of the first pixel is (0, 0)."""
    rotation: Float[np.ndarray, "3 3"]
    """R, from the camera to the world."""
    translation: Float[np.ndarray, " 3"]
    """t, the camera's place in the world."""
    distortion: Float[np.ndarray, " 8"] | None = None
    """OpenCV's rational distortion k1, k2, p1, p2, k3, k4, k5, k6 of the images; None: none, they are rectified."""

    def from_world(self, points: Float[np.ndarray, "*b 3"]) -> Float[np.ndarray, "*b 3"]:
        """Return R^T (x_world - t), the points in the camera's coordinates."""
        return (points - self.translation) @ self.rotation

    def to_world(self, points: Float[np.ndarray, "*b 3"]) -> Float[np.ndarray, "*b 3"]:
        """Return R x_camera + t, the points in the world's coordinates."""
        return points @ self.rotation.T + self.translation


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class HandFrame:
    """An image, and the hands in it."""

    key: str
    """Permanent name: sequence, camera and frame."""
    sequence: str
    """Sequence of the recording; the other images of it are no independent ones."""
    frame: int
    """Number of the frame within the sequence."""
    image: Path
    """File of the image, which may be missing."""
    size: tuple[int, int]
    """Height and width of the image, in pixels."""
    camera: HandCamera
    """Camera of the image."""
    boxes: Float[np.ndarray, "2 4"]
    """Left, top, right and bottom edge around the right and the left hand, in pixels; NaN where a hand has none."""
    hands: HandJoints
    """Joints in the world's coordinates, in metres, `[2 21 3]`; valid are those that the data set says to be."""

    def camera_joints(self) -> Float[np.ndarray, "2 21 3"]:
        """Return the joints in the camera's coordinates, in metres."""
        return self.camera.from_world(np.asarray(self.hands.joints))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class HandFrames(Sequence[HandFrame]):
    """Frames of a data set as arrays, of which an index makes one frame.

    Raises:
        ValueError: joints, cameras or boxes that cannot be right; file and frame are named.
    """

    source: Path
    """File that errors name."""
    order: JointOrder
    """Order of the joints."""
    keys: tuple[str, ...]
    """Key of each frame."""
    sequences: tuple[str, ...]
    """Sequence of each frame."""
    numbers: tuple[int, ...]
    """Number of each frame within its sequence."""
    images: tuple[Path, ...]
    """File of each image."""
    sizes: tuple[tuple[int, int], ...]
    """Height and width of each image."""
    cameras: tuple[str, ...]
    """Name of each frame's camera."""
    intrinsics: Float[np.ndarray, "n 3 3"]
    """As `HandCamera.intrinsics`."""
    rotations: Float[np.ndarray, "n 3 3"]
    """As `HandCamera.rotation`."""
    translations: Float[np.ndarray, "n 3"]
    """As `HandCamera.translation`."""
    distortions: Float[np.ndarray, "n 8"] | None = None
    """As `HandCamera.distortion`; zeros where there is none."""
    boxes: Float[np.ndarray, "n 2 4"]
    """As `HandFrame.boxes`."""
    joints: Float[np.ndarray, "n 2 21 3"]
    """Joints in the world's coordinates, in metres."""
    valid: Bool[np.ndarray, "n 2 21"]
    """Whether a joint is known."""

    def __post_init__(self) -> None:
        for row in np.flatnonzero(~np.isfinite(self.joints).all(axis=-1) & self.valid):
            key = self.keys[int(row) // (2 * self.joints.shape[-2])]
            raise ValueError(f"{self.source}: {key} must have finite joints where they are valid, got NaN or inf.")
        self._require_cameras()
        self._require_boxes()
        sequences = np.array(self.sequences, dtype=object)
        for sequence in dict.fromkeys(self.sequences):
            rows = sequences == sequence
            for hand, side in enumerate(SIDES):
                require_hands(
                    self.joints[rows, hand],
                    order=self.order,
                    valid=self.valid[rows, hand],
                    side=side,
                    name=f"{self.source}: the {side} hand of {sequence}",
                    unit={"m": "metres", "mm": "millimetres"}[self.order.unit],
                )

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, index: int) -> HandFrame: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[HandFrame]: ...
    def __getitem__(self, index: int | slice) -> HandFrame | Sequence[HandFrame]:
        if isinstance(index, slice):
            return [self[one] for one in range(len(self))[index]]
        row = range(len(self))[index]
        # `Any`: the record is annotated with JAX's arrays, and holds NumPy's on the host.
        joints: Any = self.joints[row]
        valid: Any = self.valid[row]
        return HandFrame(
            key=self.keys[row],
            sequence=self.sequences[row],
            frame=self.numbers[row],
            image=self.images[row],
            size=self.sizes[row],
            camera=HandCamera(
                name=self.cameras[row],
                intrinsics=self.intrinsics[row],
                rotation=self.rotations[row],
                translation=self.translations[row],
                distortion=None
                if self.distortions is None or not self.distortions[row].any()
                else self.distortions[row],
            ),
            boxes=self.boxes[row],
            hands=HandJoints(joints=joints, valid=valid, order=self.order),
        )

    def __iter__(self) -> Iterator[HandFrame]:
        return (self[row] for row in range(len(self)))

    def _require_cameras(self) -> None:
        products = self.rotations @ np.swapaxes(self.rotations, -1, -2)
        gaps = np.abs(products - np.eye(3)).max(axis=(-1, -2), initial=0.0)
        right = (gaps < _ROTATION_TOLERANCE) & (np.linalg.det(self.rotations) > 0)
        for row in np.flatnonzero(~right):
            raise ValueError(
                f"{self.source}: the camera {self.cameras[row]} of {self.keys[row]} must have a rotation, got a matrix "
                f"with R R^T - I up to {gaps[row]:.2g} and determinant {np.linalg.det(self.rotations[row]):.3g}."
            )
        focal = self.intrinsics[:, [0, 1], [0, 1]]
        for row in np.flatnonzero(~(focal > 0).all(axis=-1) | ~np.isfinite(self.intrinsics).all(axis=(-1, -2))):
            raise ValueError(
                f"{self.source}: the camera {self.cameras[row]} of {self.keys[row]} must have positive focal lengths, "
                f"got {focal[row].tolist()}."
            )

    def _require_boxes(self) -> None:
        left, top, right, bottom = np.moveaxis(self.boxes, -1, 0)
        sizes = np.array(self.sizes, np.float64).reshape(-1, 2)[:, None]
        given = ~np.isnan(self.boxes).any(axis=-1)
        inverted = given & ~((left < right) & (top < bottom))
        outside = given & ((left >= sizes[..., 1]) | (top >= sizes[..., 0]) | (right <= 0) | (bottom <= 0))
        for row, hand in zip(*np.nonzero(inverted | outside), strict=True):
            box, size = self.boxes[row, hand].tolist(), self.sizes[row]
            if inverted[row, hand]:
                wrong = "left < right and top < bottom, got"
            else:
                wrong = f"some part within the image of {size[0]} x {size[1]} pixels (height x width), got"
            raise ValueError(
                f"{self.source}: the box of the {SIDES[hand]} hand of {self.keys[row]} must have {wrong} {box}. If it "
                "holds left, top, width and height, convert it."
            )
