"""ARCTIC's protocols, cameras of its subjects, and frames of its sequences with their images."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxkd.data.images.hands.arctic_sequences import EGOCENTRIC, VIEWS, ArcticSequence
from jaxkd.data.images.hands.frames import HandFrames
from jaxkd.data.images.hands.json_fields import field, numbers, read_json
from jaxkd.records.hands import ARCTIC
from jaxkd.typing import Split

SUBJECTS: dict[Split, str] = {"validation": "s05", "test": "s03"}
"""Subject of the splits that have only one."""

DROPPED = 10
"""Frames at either end of a sequence that are left out: images may be black there."""

_NAMES: dict[Split, str] = {"train": "train", "validation": "val", "test": "test"}
_FIXED = VIEWS - 1


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ArcticSubject:
    """Cameras of a subject's recordings, from `meta/misc.json`."""

    intrinsics: Float[np.ndarray, "8 3 3"]
    """Matrices of the fixed cameras, views 1 to 8, in pixels."""
    world_to_camera: Float[np.ndarray, "8 4 4"]
    """From the world to each fixed camera, in metres."""
    sizes: tuple[tuple[int, int], ...]
    """Height and width of the images of all nine views, in pixels."""
    first_image: int
    """Number of the image of the first annotated frame."""


def read_arctic_protocol(path: Path) -> dict[Split, tuple[str, ...]]:
    """Read the sequences of each split from `protocol_p1.json` (fixed views) or `protocol_p2.json` (the headset's).

    Raises:
        ValueError: missing splits, names that are not SUBJECT/RECORDING, a sequence in two splits, a validation
            sequence of another subject than s05, a test sequence of another than s03, or a training sequence of one of
            these.
        FileNotFoundError: a missing file.
    """
    content = read_json(path)
    found: dict[Split, tuple[str, ...]] = {}
    owner: dict[str, str] = {}
    for split, key in _NAMES.items():
        names = field(content, key, list, where=str(path))
        for name in names:
            if not isinstance(name, str) or name.count("/") != 1:
                raise ValueError(f"{path}: {key} must list names such as s01/box_grab_01, got {name!r}.")
            if name in owner:
                raise ValueError(f"{path}: {name} must be in one split once, got it in {owner[name]} and in {key}.")
            owner[name] = key
            subject = name.partition("/")[0]
            wanted = SUBJECTS.get(split)
            if subject != wanted if wanted else subject in SUBJECTS.values():
                raise ValueError(
                    f"{path}: {key} must have sequences of {wanted or 'other subjects than s03 and s05'} alone, got "
                    f"{name}."
                )
        found[split] = tuple(names)
    return found


def read_arctic_subjects(path: Path) -> dict[str, ArcticSubject]:
    """Read the cameras of all subjects from `meta/misc.json`.

    Raises:
        ValueError: missing fields, or matrices of other shapes: the file, the subject and the field are named.
        FileNotFoundError: a missing file.
    """
    found = {}
    for subject, entry in read_json(path).items():
        where = f"{path}: {subject}"
        sizes = numbers(field(entry, "image_size", list, where=where), (VIEWS, 2), where=f"{where}: image_size")
        found[subject] = ArcticSubject(
            intrinsics=numbers(entry.get("intris_mat"), (_FIXED, 3, 3), where=f"{where}: intris_mat"),
            world_to_camera=numbers(entry.get("world2cam"), (_FIXED, 4, 4), where=f"{where}: world2cam"),
            sizes=tuple((int(height), int(width)) for width, height in sizes),
            first_image=field(entry, "ioi_offset", int, where=where),
        )
    return found


def arctic_frames(
    sequence: ArcticSequence, subject: ArcticSubject, *, views: Sequence[int], images: Path, source: Path
) -> HandFrames:
    """Return the frames of a sequence in some views, without the ten images at either end.

    Args:
        sequence: annotations, by `read_arctic_sequences`.
        subject: cameras of its subject, by `read_arctic_subjects`.
        views: 0 for the headset's camera, 1 to 8 for the fixed ones; protocol 1 has the fixed ones, 2 the headset's.
        images: folder with images, as in `images/s05/box_use_01/0/00010.jpg`.  Files are not opened.
        source: file that errors name.

    Returns:
        Frames by number and then by view, with joints in the world's coordinates.  Both hands have the same box, around
        hands and object.  Joints of the headset's view are without distortion, its images have it.

    Raises:
        ValueError: an unknown view, a sequence with no frame left, or frames that cannot be right.
    """
    if not views or not set(views) <= set(range(VIEWS)):
        raise ValueError(f"views must be of 0 to {VIEWS - 1}, at least one, got {list(views)}.")
    images_of = range(DROPPED, len(sequence) - DROPPED)
    frames = [number - subject.first_image for number in images_of if number >= subject.first_image]
    if not frames:
        raise ValueError(
            f"{source}: {sequence.name} must have more than {2 * DROPPED} frames, of which the ends are left out, got "
            f"{len(sequence)} and the first image {subject.first_image}."
        )
    rows = [(frame, view) for frame in frames for view in views]
    at, seen = np.array(rows).T
    poses = np.stack([sequence.world_to_ego[f] if v == EGOCENTRIC else subject.world_to_camera[v - 1] for f, v in rows])
    intrinsics = np.stack(
        [sequence.ego_intrinsics[f] if v == EGOCENTRIC else subject.intrinsics[v - 1] for f, v in rows]
    )
    rotations = np.swapaxes(poses[:, :3, :3], 1, 2)
    translations = -np.einsum("nij,nj->ni", rotations, poses[:, :3, 3])
    joints = sequence.joints[at, seen]
    world = np.einsum("nij,nhkj->nhki", rotations, joints) + translations[:, None, None]
    valid = np.broadcast_to(sequence.hands_valid[at, seen][..., None], joints.shape[:-1])
    return HandFrames(
        source=source,
        order=ARCTIC,
        keys=tuple(f"{sequence.name}/{view}/{frame + subject.first_image:05d}" for frame, view in rows),
        sequences=(sequence.name,) * len(rows),
        numbers=tuple(frame for frame, _ in rows),
        images=tuple(images / sequence.name / str(v) / f"{f + subject.first_image:05d}.jpg" for f, v in rows),
        sizes=tuple(subject.sizes[view] for _, view in rows),
        cameras=tuple(str(view) for _, view in rows),
        intrinsics=intrinsics,
        rotations=rotations,
        translations=translations,
        distortions=np.where((seen == EGOCENTRIC)[:, None], sequence.ego_distortion[at], 0.0),
        boxes=np.repeat(sequence.boxes[at, seen][:, None], 2, axis=1),
        joints=world,
        valid=valid,
    )
