"""Images that several cameras took of the same hands at the same instant."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from jaxkd.data.images.hands.frames import HandFrames

_TOLERANCE_M = 1e-3
"""Greatest distance between the places of one joint in the world that two cameras of one instant may have."""


def frames_by_instant(frames: HandFrames, cameras: Sequence[str]) -> Int[np.ndarray, "i v"]:
    """Return the rows of each instant at which all cameras have an image, in the order of the first camera's frames.

    Frames of one sequence and number are taken for one instant.  Their joints in the world are then the same; cameras
    with clocks of their own, or numbers that each counts from its own start, are found by joints that are not.

    Args:
        frames: frames of a data set.
        cameras: names of the cameras, two or more, in the order of the columns.

    Returns:
        Rows of `frames`: `frames[rows[i, v]]` is what the v-th camera saw at instant i.  Instants that a camera has no
        image of are left out.

    Raises:
        ValueError: fewer than two cameras or one of them twice, one without frames, a camera with two frames of an
            instant, cameras without a common instant, or cameras of different clocks.
    """
    if len(set(cameras)) < len(cameras) or len(cameras) < 2:
        raise ValueError(f"cameras must be two or more different names, got {', '.join(cameras) or 'none'}.")
    rows: dict[str, dict[tuple[str, int], int]] = {name: {} for name in cameras}
    for row, instant in enumerate(zip(frames.sequences, frames.numbers, strict=True)):
        of = rows.get(frames.cameras[row])
        if of is None:
            continue
        if instant in of:
            raise ValueError(
                f"{frames.source}: a camera must have one frame of an instant, got {frames.keys[of[instant]]} and "
                f"{frames.keys[row]}."
            )
        of[instant] = row
    for name, of in rows.items():
        if not of:
            known = ", ".join(sorted(set(frames.cameras)))
            raise ValueError(f"cameras must be among those of {frames.source}, which are {known}, got {name!r}.")
    common = [instant for instant in rows[cameras[0]] if all(instant in of for of in rows.values())]
    if not common:
        raise ValueError(
            f"{frames.source}: {', '.join(cameras)} must have an instant in common, got none. If each counts its "
            "frames from its own start, renumber them."
        )
    found = np.array([[rows[name][instant] for name in cameras] for instant in common])
    _require_one_clock(frames, found)
    return found


def _require_one_clock(frames: HandFrames, rows: Int[np.ndarray, "i v"]) -> None:
    joints, valid = frames.joints[rows], frames.valid[rows]
    both = valid & valid[:, :1]
    moved = np.where(both[..., None], joints - joints[:, :1], 0.0)
    apart = np.linalg.norm(moved, axis=-1).max(axis=(-1, -2))
    for instant, view in np.argwhere(apart > _TOLERANCE_M):
        first, other = (frames.keys[rows[instant, one]] for one in (0, view))
        raise ValueError(
            f"{frames.source}: cameras must share a clock, got joints that are up to {1e3 * apart[instant, view]:.1f} "
            f"mm apart in {first} and {other}. Match their frames by time first."
        )
