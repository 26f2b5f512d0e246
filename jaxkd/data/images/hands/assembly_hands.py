"""Frames of AssemblyHands: images of headset cameras with both hands' joints in millimetres.

Three JSON files of a split belong together: `..._ego_data_...` lists images and annotations as COCO does, with a box
for each hand (left, top, right, bottom, or null) and 42 flags of joints; `..._ego_calib_...` has K by camera, and
[R | t] from the world to the camera by frame and camera; `..._joint_3d_...` has 42 joints in the world by frame.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from jaxtyping import Bool, Float

from jaxkd.data.images.hands.frames import HandFrames
from jaxkd.data.images.hands.json_fields import field, numbers, read_json
from jaxkd.records.hands import ASSEMBLY_HANDS, SIDES, hands_of_42

AssemblyHandsSplit: TypeAlias = Literal["train", "val", "test"]
"""Split of the data set, as its files are named."""

_CAMERA_ENDING = "_mono10bit"
"""Ending of a camera's name in the calibration beyond that among the images."""


def read_assembly_hands(
    folder: Path, *, split: AssemblyHandsSplit, version: str = "v1-1", images: Path | None = None
) -> HandFrames:
    """Read the annotated images of one split, in the order of their annotations.

    Args:
        folder: folder `annotations`, which has a folder for each split.
        split: split to read.
        version: ending of the files' names.
        images: folder with the images of the split.  None: `images/ego_images_rectified/SPLIT` beside `folder`.  Files
            are not opened.

    Returns:
        A frame for each annotation, in metres.  A joint is valid where both the image's and the sequence's flags, if
        there are any, say so.

    Raises:
        ValueError: an unknown split, or entries that cannot be right: the file and the entry are named.
        FileNotFoundError: a missing file.
    """
    if split not in get_args(AssemblyHandsSplit):
        raise ValueError(f"split must be one of {', '.join(get_args(AssemblyHandsSplit))}, got {split!r}.")
    images = images or folder.parent / "images" / "ego_images_rectified" / split
    stem = f"assemblyhands_{split}"
    data, calibration, joints = (
        folder / split / f"{stem}_{part}_{version}.json" for part in ("ego_data", "ego_calib", "joint_3d")
    )
    listed, annotations = _entries(data)
    cameras = field(read_json(calibration), "calibration", dict, where=str(calibration))
    poses = field(read_json(joints), "annotations", dict, where=str(joints))
    rows = [_row(data, listed, one, calibration, cameras, joints, poses) for one in annotations]
    if not rows:
        raise ValueError(f"{data} must have at least one annotation, got none.")
    matrices = np.stack([row["extrinsics"] for row in rows])
    # The files have x_camera = R x_world + t; ours are x_world = R^T x_camera - R^T t, in metres.
    rotations = np.swapaxes(matrices[:, :, :3], 1, 2)
    metres = ASSEMBLY_HANDS.metres
    return HandFrames(
        source=data,
        order=ASSEMBLY_HANDS,
        keys=tuple(row["key"] for row in rows),
        sequences=tuple(row["sequence"] for row in rows),
        numbers=tuple(row["frame"] for row in rows),
        images=tuple(images / row["file_name"] for row in rows),
        sizes=tuple(row["size"] for row in rows),
        cameras=tuple(row["camera"] for row in rows),
        intrinsics=np.stack([row["intrinsics"] for row in rows]),
        rotations=rotations,
        translations=-np.einsum("nij,nj->ni", rotations, matrices[:, :, 3]) * metres,
        boxes=np.stack([row["boxes"] for row in rows]),
        joints=hands_of_42(np.stack([row["joints"] for row in rows])) * metres,
        valid=hands_of_42(np.stack([row["valid"] for row in rows])[..., None])[..., 0],
    )


def _entries(path: Path) -> tuple[dict[int, Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Return the images by id, and the annotations."""
    content = read_json(path)
    images: dict[int, Mapping[str, Any]] = {}
    for place, entry in enumerate(field(content, "images", list, where=str(path))):
        number = field(entry, "id", int, where=f"{path}: image number {place}")
        if number in images:
            raise ValueError(f"{path}: every image must have an id of its own, got {number} twice.")
        images[number] = entry
    annotations = field(content, "annotations", list, where=str(path))
    seen: dict[int, Any] = {}
    for place, entry in enumerate(annotations):
        name = entry.get("id", f"number {place}") if isinstance(entry, Mapping) else f"number {place}"
        image = field(entry, "image_id", int, where=f"{path}: annotation {name}")
        if image not in images:
            raise ValueError(f"{path}: annotation {name} must be of a listed image, got image_id {image}.")
        if image in seen:
            raise ValueError(
                f"{path}: an image must have one annotation for both hands, got {seen[image]} and {name} for image "
                f"{image}."
            )
        seen[image] = name
    return images, annotations


def _row(
    data: Path,
    images: Mapping[int, Mapping[str, Any]],
    annotation: Mapping[str, Any],
    calibration: Path,
    cameras: Mapping[str, Any],
    joints: Path,
    poses: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what the three files say about one annotation."""
    image, where = images[annotation["image_id"]], f"{data}: image {annotation['image_id']}"
    sequence, camera = str(image.get("seq_name")), field(image, "camera", str, where=where)
    number = field(image, "frame_idx", int, where=where)
    frame, name = f"{number:06d}", camera.removesuffix(_CAMERA_ENDING) + _CAMERA_ENDING
    own = field(cameras, sequence, dict, where=f"{calibration}: calibration")
    intrinsics = field(
        field(own, "intrinsics", dict, where=f"{calibration}: {sequence}"),
        name,
        list,
        where=f"{calibration}: {sequence}: intrinsics",
    )
    moving = field(
        field(own, "extrinsics", dict, where=f"{calibration}: {sequence}"),
        frame,
        dict,
        where=f"{calibration}: {sequence}: extrinsics",
    )
    extrinsics = field(moving, name, list, where=f"{calibration}: {sequence}: extrinsics of frame {frame}")
    place = f"{joints}: {sequence}: frame {frame}"
    pose = field(
        field(poses, sequence, dict, where=f"{joints}: annotations"), frame, dict, where=f"{joints}: {sequence}"
    )
    flags = (
        _flags(annotation["joint_valid"], f"{data}: annotation {annotation.get('id')}: joint_valid")
        if "joint_valid" in annotation
        else np.ones(42, bool)
    )
    if "joint_valid" in pose:
        flags &= _flags(pose["joint_valid"], f"{place}: joint_valid")
    return {
        "key": f"{sequence}/{camera}/{frame}",
        "sequence": sequence,
        "camera": camera,
        "frame": number,
        "file_name": field(image, "file_name", str, where=where),
        "size": (field(image, "height", int, where=where), field(image, "width", int, where=where)),
        "intrinsics": numbers(intrinsics, (3, 3), where=f"{calibration}: {sequence}: intrinsics of {name}"),
        "extrinsics": numbers(
            extrinsics, (3, 4), where=f"{calibration}: {sequence}: extrinsics of frame {frame}, {name}"
        ),
        "boxes": _boxes(annotation, f"{data}: annotation {annotation.get('id')}"),
        "joints": numbers(pose.get("world_coord"), (42, 3), where=f"{place}: world_coord"),
        "valid": flags,
    }


def _flags(values: Any, where: str) -> Bool[np.ndarray, " 42"]:
    """Return whether each joint is valid; lists of lists of one number occur."""
    found = numbers(values, (42, 1) if np.ndim(values) == 2 else (42,), where=where).reshape(-1)
    if not np.isin(found, (0, 1)).all():
        raise ValueError(f"{where} must hold 0 and 1, got {found[~np.isin(found, (0, 1))][0]:g}.")
    return found == 1


def _boxes(annotation: Mapping[str, Any], where: str) -> Float[np.ndarray, "2 4"]:
    """Return the boxes of both hands; NaN for null."""
    boxes = field(annotation, "bbox", dict, where=where)
    found = np.full((2, 4), np.nan)
    for hand, side in enumerate(SIDES):
        if side not in boxes:
            raise ValueError(f"{where}: bbox must have an entry {side}, a box or null, got only {', '.join(boxes)}.")
        if boxes[side] is not None:
            found[hand] = numbers(boxes[side], (4,), where=f"{where}: bbox of the {side} hand")
    return found
