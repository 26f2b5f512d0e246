"""Sequences of ARCTIC: what its files of splits and of processed sequences hold, in metres."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from jaxkd.data.images.hands.plain_pickle import read_pickled

EGOCENTRIC = 0
"""View of the headset's camera; 1 to 8 are fixed cameras."""

VIEWS = 9
"""Views with images; files hold a tenth, the headset's with distortion."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ArcticSequence:
    """Annotations of a sequence by frame and view."""

    name: str
    """Subject and recording, as in `s05/box_use_01`."""
    joints: Float[np.ndarray, "f v 2 21 3"]
    """Joints of the right and the left hand in each camera's coordinates, in metres."""
    valid: Bool[np.ndarray, "f v"]
    """Whether the object's centre is within the image."""
    hands_valid: Bool[np.ndarray, "f v 2"]
    """Whether the wrist and two more joints of a hand are within the image, and the frame is valid."""
    boxes: Float[np.ndarray, "f v 4"]
    """Square around hands and object in pixels: left, top, right, bottom."""
    object_keypoints: Float[np.ndarray, "f v 32 3"]
    """Sixteen keypoints of the object's top part, then of its bottom part, in each camera's coordinates, in metres."""
    object_angle: Float[np.ndarray, " f"]
    """Angle of the object's hinge, in radians."""
    ego_intrinsics: Float[np.ndarray, "f 3 3"]
    """Matrix of the headset's camera, in pixels."""
    ego_distortion: Float[np.ndarray, "f 8"]
    """OpenCV's rational distortion of the headset's images, in the order k1, k2, p1, p2, k3, k4, k5, k6."""
    world_to_ego: Float[np.ndarray, "f 4 4"]
    """From the world to the headset's camera."""

    @property
    def subject(self) -> str:
        """Subject of the recording."""
        return self.name.partition("/")[0]

    def __len__(self) -> int:
        return len(self.joints)


def read_arctic_sequences(path: Path) -> dict[str, ArcticSequence]:
    """Read a split's file, such as `p1_val.npy`, without running code that a pickle may hold.

    Returns:
        Sequences by name, in the order of the file.

    Raises:
        ValueError: another file, missing fields, or arrays of other shapes: the file, the sequence and the field are
            named.
        FileNotFoundError: a missing file.
    """
    content = read_pickled(path)
    sequences = content.get("data_dict") if isinstance(content, Mapping) else None
    if not isinstance(sequences, Mapping) or not sequences:
        got = ", ".join(map(str, content)) if isinstance(content, Mapping) else type(content).__name__
        raise ValueError(f"{path} must hold a dict data_dict of sequences, got {got or 'nothing'}.")
    return {str(name): _sequence(path, str(name), one) for name, one in sequences.items()}


def _sequence(path: Path, name: str, content: Any) -> ArcticSequence:
    def array(group: str, field: str | None, *shape: int, views: bool = False) -> np.ndarray:
        where = f"{path}: {name}: {group}" + (f": {field}" if field else "")
        part = content.get(group) if isinstance(content, Mapping) else None
        found = part if field is None else part.get(field) if isinstance(part, Mapping) else None
        if found is None:
            raise ValueError(f"{where} must be there, got no such field.")
        found = np.asarray(found)
        wanted = (*((frames,) if frames is not None else ()), *shape)
        if views and found.ndim > 1:
            found = found[:, :VIEWS]
            wanted = (wanted[0] if frames is not None else found.shape[0], VIEWS, *shape)
        if found.shape != wanted or found.dtype.kind not in "fiub":
            raise ValueError(f"{where} must be numbers of the shape {wanted}, got {found.dtype} of {found.shape}.")
        return found.astype(np.float64)

    frames: int | None = None
    right = array("cam_coord", "joints.right", 21, 3, views=True)
    frames = len(right)

    def fixed(field: str, *shape: int) -> np.ndarray:
        """Values that some files hold once for all frames."""
        found = content.get("params", {}).get(field)
        if found is not None and np.shape(found) == shape:
            return np.broadcast_to(np.asarray(found, np.float64), (len(right), *shape))
        return array("params", field, *shape)

    joints = np.stack([right, array("cam_coord", "joints.left", 21, 3, views=True)], axis=2)
    valid = array("cam_coord", "is_valid", views=True) > 0
    seen = np.stack([array("cam_coord", f"{side}_valid", views=True) > 0 for side in ("right", "left")], axis=-1)
    centre_x, centre_y, scale = np.moveaxis(array("bbox", None, 3, views=True), -1, 0)
    half = 100 * scale  # a scale of 1 is 200 pixels
    return ArcticSequence(
        name=name,
        joints=joints,
        valid=valid,
        hands_valid=seen & valid[..., None],
        boxes=np.stack([centre_x - half, centre_y - half, centre_x + half, centre_y + half], axis=-1),
        object_keypoints=array("cam_coord", "kp3d", 32, 3, views=True),
        object_angle=array("params", "obj_arti"),
        ego_intrinsics=fixed("K_ego", 3, 3),
        ego_distortion=fixed("dist", 8),
        world_to_ego=array("params", "world2ego", 4, 4),
    )
