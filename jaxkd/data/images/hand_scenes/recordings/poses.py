"""Poses of hands to be drawn: frames of fingerspelling, and, in training, recorded poses."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import get_args

import numpy as np
from jaxtyping import Float32

from jaxkd.data.images.hand_scenes.articulation import ANGLE_AXES, ANGLE_JOINTS, joint_angles
from jaxkd.data.images.hand_scenes.mesh import load_hand
from jaxkd.data.images.hand_scenes.recordings.motion import HandMotion, fingerspelling_motion
from jaxkd.data.images.hand_scenes.recordings.recorded_poses import pose_rotations, recorded_poses
from jaxkd.records.hands import Side
from jaxkd.typing import Split

_RECORDED = 1 / 16
"""Share of the training frames with a recorded pose."""

UPRIGHT = np.array([[-1, 0, 0], [0, 0, 1], [0, 1, 0]], np.float32)
"""Orientation of the wrist of a hand that points up and shows its palm to the camera."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class HandPose:
    """One pose, as it was recorded from the front."""

    side: Side
    angles: Float32[np.ndarray, " angles"]
    """Angles of `JOINT_ANGLES`, in radians."""
    rate: Float32[np.ndarray, " angles"]
    """Change of the angles, in radians per second."""
    wrist: Float32[np.ndarray, "3 3"]
    """Orientation of the wrist in the frame of the camera that recorded it."""
    group: str
    """Recording."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class HandPoses:
    """Poses of one split."""

    motion: HandMotion
    recorded: tuple[HandPose, ...]
    """Poses of `recorded_poses`; none but in training."""


@functools.lru_cache(maxsize=3)
def hand_poses(split: Split) -> HandPoses:
    """Return the poses of a split.

    Raises:
        ConnectionError: a package is neither in the cache nor to be had.
    """
    recorded = [_recorded(side) for side in get_args(Side)] if split == "train" else []
    return HandPoses(motion=fingerspelling_motion(split), recorded=tuple(pose for one in recorded for pose in one))


def draw_pose(rng: np.random.Generator, poses: HandPoses) -> HandPose:
    """Draw a frame of a recording, or, seldom, a recorded pose."""
    if poses.recorded and rng.uniform() < _RECORDED:
        return poses.recorded[int(rng.integers(len(poses.recorded)))]
    motion, place = poses.motion, int(rng.integers(len(poses.motion.frame)))
    recording, following = int(motion.recording[place]), min(place + 1, len(motion.frame) - 1)
    goes_on = motion.recording[following] == recording and motion.frame[following] == motion.frame[place] + 1
    change = motion.angles[following] - motion.angles[place] if goes_on else np.zeros_like(motion.angles[place])
    return HandPose(
        side=motion.sides[recording],
        angles=motion.angles[place].astype(np.float32),
        rate=(change * motion.rates[recording]).astype(np.float32),
        wrist=motion.wrist[place].astype(np.float32),
        group=motion.names[recording],
    )


def _recorded(side: Side) -> list[HandPose]:
    hand = load_hand(side)
    angles: Mapping[str, np.ndarray] = {
        name: joint_angles(pose_rotations(hand, pose), side=side)[ANGLE_JOINTS, ANGLE_AXES].astype(np.float32)
        for name, pose in recorded_poses(side).items()
    }
    return [
        HandPose(side=side, angles=one, rate=np.zeros_like(one), wrist=UPRIGHT, group=f"recorded-{side}-{name}")
        for name, one in angles.items()
    ]
