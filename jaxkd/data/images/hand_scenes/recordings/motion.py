"""Real motion for the hand of the mesh: poses fitted to fingerspelling, split by signed language."""

import dataclasses
import functools
import hashlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
from jaxtyping import Float, Int

from jaxkd.data.images.hand_scenes.articulation import JOINT_ANGLES
from jaxkd.data.images.hand_scenes.inverse_kinematics import FittedPoses, fit_poses
from jaxkd.data.images.hand_scenes.mesh import HAND_FILES, HandMesh, load_hand
from jaxkd.data.images.hand_scenes.recordings.fingerspelling import (
    SPOKEN_TO_SIGNED,
    HandRecording,
    depth_factor,
    fingerspelling,
)
from jaxkd.data.images.hand_scenes.skinning import KEYPOINT_JOINTS
from jaxkd.records.hands import Side
from jaxkd.runtime.packages import cache_folder
from jaxkd.typing import Split

LARGEST_RESIDUAL = 0.012
"""Mean distance of the keypoints, in metres, beyond which a frame is left out: there the tracker was wrong, mostly."""

LANGUAGES: dict[Split, tuple[str, ...]] = {
    "train": ("asq", "cse", "eso", "gsg", "gss", "ise", "jos", "mfs", "psr", "sgg", "ssp", "swl", "ukl"),
    "validation": ("ase", "tsm"),
    "test": ("bzs", "csq", "lls", "svk"),
}
"""Signed languages of each split, as ISO 639-3 codes.  No recording, and no signer of one language, is in two splits;
letters of different languages may look alike."""

_ITERATIONS = 15
_VERSION = 1
"""Counts changes of the fit that the other parts of the cache's key do not show."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class HandMotion:
    """Poses of one hand in the frames of recordings, in the order of time within each."""

    angles: Float[np.ndarray, "n angles"]
    """Angles of `JOINT_ANGLES`, in radians, within their limits."""
    wrist: Float[np.ndarray, "n 3 3"]
    """Orientation of the wrist in the camera's frame: x to the right, y down, z forward."""
    residual: Float[np.ndarray, " n"]
    """Mean distance of the keypoints from those that were tracked, in metres."""
    recording: Int[np.ndarray, " n"]
    """Index of the recording of each frame."""
    frame: Int[np.ndarray, " n"]
    """Number of the frame within its recording; numbers are missing where no hand was found, or it was left out."""
    names: tuple[str, ...]
    """Name of each recording, which tells the language and the side."""
    sides: tuple[Side, ...]
    """Hand of each recording.  `joint_rotations` gives the same pose of the other hand with `mirrored` wrists."""
    rates: tuple[float, ...]
    """Frames per second of each recording."""
    left_out: int
    """Number of frames whose residual was too large."""


def fingerspelling_motion(split: Split, *, largest_residual: float = LARGEST_RESIDUAL) -> HandMotion:
    """Return the poses of a split that fit; the fit takes minutes once, and is then kept in the cache.

    Args:
        split: "train", "validation" or "test".
        largest_residual: residual, in metres, beyond which a frame is left out.

    Raises:
        ConnectionError: a package is neither in the cache nor to be had.
        ValueError: another split, or a residual that is not positive.
    """
    if split not in get_args(Split):
        raise ValueError(f"split must be one of {', '.join(get_args(Split))}, got {split!r}.")
    recordings, fitted = _fitted()
    return select_motion(recordings, fitted, languages=LANGUAGES[split], largest_residual=largest_residual)


def select_motion(
    recordings: Sequence[HandRecording],
    fitted: FittedPoses,
    *,
    languages: Sequence[str],
    largest_residual: float = LARGEST_RESIDUAL,
) -> HandMotion:
    """Return the fitted poses of recordings in some languages, without the frames that do not fit.

    Args:
        recordings: recordings that were fitted.
        fitted: poses of their frames, one recording after another.
        languages: signed languages that are wanted.
        largest_residual: residual, in metres, beyond which a frame is left out.

    Raises:
        ValueError: a residual that is not positive, or poses of another number of frames.
    """
    if not largest_residual > 0:
        raise ValueError(f"largest_residual must be positive, in metres, got {largest_residual}.")
    counts = [len(recording.frames) for recording in recordings]
    if sum(counts) != len(fitted.residual):
        raise ValueError(f"fitted must have the {sum(counts)} frames of the recordings, got {len(fitted.residual)}.")
    wanted = [index for index, recording in enumerate(recordings) if recording.language in languages]
    number = np.repeat(np.arange(len(recordings)), counts)
    chosen = np.isin(number, wanted)
    fits = np.asarray(fitted.residual) <= largest_residual
    rows = np.flatnonzero(chosen & fits)
    frames = np.concatenate([recording.frames for recording in recordings])
    return HandMotion(
        angles=np.asarray(fitted.angles)[rows],
        wrist=np.asarray(fitted.wrist)[rows],
        residual=np.asarray(fitted.residual)[rows],
        recording=np.searchsorted(wanted, number[rows]),
        frame=frames[rows],
        names=tuple(recordings[index].name for index in wanted),
        sides=tuple(recordings[index].side for index in wanted),
        rates=tuple(recordings[index].rate for index in wanted),
        left_out=int((chosen & ~fits).sum()),
    )


def fit_recordings(
    hands: Mapping[Side, HandMesh], recordings: Sequence[HandRecording], *, iterations: int = _ITERATIONS
) -> FittedPoses:
    """Return the poses of all frames of recordings, one recording after another.

    The depth of the landmarks of a language is scaled by the median of the `depth_factor` of its recordings.

    Args:
        hands: mesh of each hand.
        recordings: recordings; those of a language have one video format.
        iterations: as for `fit_poses`.

    Returns:
        Poses in NumPy arrays, whose residuals are in metres at the size of the mesh.

    Raises:
        ValueError: a language without any recording whose depth can be scaled.
    """
    factors = _depth_factors(hands["right"], recordings)
    counts = [len(recording.frames) for recording in recordings]
    landmarks = np.concatenate(
        [recording.landmarks * np.array([1, 1, factors[recording.language]]) for recording in recordings]
    )
    sides = np.repeat([recording.side for recording in recordings], counts)
    parts = {side: fit_poses(hands[side], landmarks[sides == side], iterations=iterations) for side in np.unique(sides)}

    def joined(name: str) -> Any:
        first = getattr(next(iter(parts.values())), name)
        values = np.empty((len(landmarks), *first.shape[1:]), np.float32)
        for side, part in parts.items():
            values[sides == side] = getattr(part, name)
        return values

    return FittedPoses(**{field.name: joined(field.name) for field in dataclasses.fields(FittedPoses)})


def _depth_factors(hand: HandMesh, recordings: Sequence[HandRecording]) -> dict[str, float]:
    keypoints = np.asarray(hand.rest_positions)[list(KEYPOINT_JOINTS)]
    found: dict[str, list[float]] = {recording.language: [] for recording in recordings}
    for recording in recordings:
        try:
            found[recording.language].append(depth_factor(recording.landmarks, keypoints))
        except ValueError:  # a short recording of a hand that is parallel to the image: others of the language tell
            continue
    if empty := sorted(language for language, factors in found.items() if not factors):
        raise ValueError(
            f"recordings must have a depth that can be scaled, got none in {', '.join(empty)}. Leave that language out."
        )
    return {language: float(np.median(factors)) for language, factors in found.items()}


@functools.lru_cache(maxsize=1)
def _fitted() -> tuple[tuple[HandRecording, ...], FittedPoses]:
    recordings = fingerspelling()
    path = cache_folder() / "hand_motion" / f"fingerspelling-{_key()}.npz"
    if path.exists():
        with np.load(path) as arrays:
            return recordings, FittedPoses(**dict(arrays))
    fitted = fit_recordings({side: load_hand(side) for side in get_args(Side)}, recordings)
    _write(path, {field.name: getattr(fitted, field.name) for field in dataclasses.fields(FittedPoses)})
    return recordings, fitted


def _key() -> str:
    """Return what the fit depends on, as a short hash."""
    files = [SPOKEN_TO_SIGNED.sha256, *(file.sha256 for file in HAND_FILES.values())]
    return hashlib.sha256(repr((files, JOINT_ANGLES, _ITERATIONS, _VERSION)).encode()).hexdigest()[:12]


def _write(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays to a file, which appears complete or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".motion-", delete=False) as file:
        np.savez(file, **arrays)
    os.replace(file.name, path)
