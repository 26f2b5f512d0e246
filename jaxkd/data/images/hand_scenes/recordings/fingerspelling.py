"""Recordings of hands that spell words: the 21 landmarks of each frame, as a hand tracker saw them in videos."""

import dataclasses
import functools
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Float, Float32, Int

from jaxkd.data.images.hand_scenes.recordings.pose_files import read_pose_file
from jaxkd.records.hands import Side
from jaxkd.runtime.packages import PackagedWheel, fetch_wheel

SPOKEN_TO_SIGNED = PackagedWheel(
    package="spoken-to-signed",
    version="0.4.0",
    sha256="10570745f622476c0f890a9715e5376b650fb85bb0d0cef4b7cb031892055367",
    size=95_934_858,
)
"""Wheel with 600 recordings of letters in 19 signed languages.

The package's code is under the MIT licence; the terms of the recordings are not stated, so they are read at run time
and nothing of them is kept elsewhere than in the user's cache.
"""

_FOLDER = PurePosixPath("spoken_to_signed/assets/fingerspelling_lexicon")
_COMPONENTS: dict[Side, str] = {"left": "LEFT_HAND_LANDMARKS", "right": "RIGHT_HAND_LANDMARKS"}
_POINTS = 21
_PALM = [(0, 1), (0, 5), (0, 9), (0, 13), (0, 17), (5, 9), (9, 13), (13, 17), (5, 17)]
_BONES = np.array(_PALM + [(k, k + 1) for k in range(1, 20) if k % 4])
"""Keypoints that are always about as far apart, in MediaPipe's order: ends of a bone, and those of the palm."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class HandRecording:
    """Frames of one recording in which one hand was found."""

    name: str
    """Folder and name of the file, and the side: unique."""
    language: str
    """Signed language, as an ISO 639-3 code: the folder of the recording."""
    side: Side
    """Which hand it is."""
    rate: float
    """Frames per second."""
    frames: Int[np.ndarray, " n"]
    """Number of each frame within the recording."""
    landmarks: Float32[np.ndarray, "n 21 3"]
    """Keypoints in MediaPipe's order: x to the right and y down in pixels; z forward in another unit
    (`depth_factor`)."""


def fingerspelling() -> tuple[HandRecording, ...]:
    """Return the recordings, by name: 17,367 frames with all 21 landmarks of a hand.

    Raises:
        ConnectionError: the package is neither in the cache nor to be had from the package index.
        ValueError: the wheel is not the named one.
    """
    return _read(fetch_wheel(SPOKEN_TO_SIGNED))


@functools.lru_cache(maxsize=1)
def _read(path: Path) -> tuple[HandRecording, ...]:
    return read_recordings(path)


def read_recordings(path: Path | str) -> tuple[HandRecording, ...]:
    """Read the recordings in a wheel of spoken-to-signed.

    Args:
        path: wheel.

    Returns:
        Recordings by name.  A file of both hands gives two; frames in which a landmark is missing are left out.

    Raises:
        ValueError: no recordings, a damaged one, several people in one, or a hand of another number of landmarks; the
            message names the file.

    Source: inferred from the files.  Deviation: none.
    """
    recordings = []
    with zipfile.ZipFile(path) as wheel:
        members = sorted(name for name in wheel.namelist() if name.endswith(".pose"))
        for member in members:
            recordings += _recordings(wheel.read(member), PurePosixPath(member), f"{member} in {path}")
    if not recordings:
        raise ValueError(f"{path} must have .pose files with hands, got {len(members)} files. Use the wheel of 0.4.0.")
    return tuple(recordings)


def _recordings(content: bytes, member: PurePosixPath, described: str) -> list[HandRecording]:
    file, found = read_pose_file(content, described), []
    if file.points.shape[1] != 1:
        raise ValueError(f"{described} must be of one person, got {file.points.shape[1]}. Separate them first.")
    for side, component in _COMPONENTS.items():
        if len(file.components.get(component, ())) != _POINTS:
            raise ValueError(
                f"{described} must have {_POINTS} landmarks of the {side} hand, got "
                f"{len(file.components.get(component, ()))}. Use landmarks of MediaPipe Holistic."
            )
        points, confidence = (values[:, 0] for values in file.component(component))
        present = np.flatnonzero((confidence > 0).all(1))
        if not np.isfinite(points[present]).all():
            raise ValueError(f"{described} must have finite landmarks where their confidence is positive, got NaN.")
        if len(present):
            found.append(
                HandRecording(
                    name=f"{member.parent.name}/{member.stem}/{side}",
                    language=member.parent.name,
                    side=side,
                    rate=file.rate,
                    frames=present,
                    landmarks=points[present, :, :3],
                )
            )
    return found


def depth_factor(landmarks: Float[np.ndarray, "n 21 3"], keypoints: Float[np.ndarray, "21 3"]) -> float:
    """Return the factor f of z with which bones have the most constant lengths, relative to those of a hand.

    Files keep x and y in pixels, and z relative to the width of the video, which they do not tell.  With a and b the
    squared lengths of a bone across the image and in depth, l its length in `keypoints`, and a scale s for each frame,
    f^2 minimises sum (a + f^2 b - s l^2)^2 / (sum of a in the frame)^2: linear least squares.

    Args:
        landmarks: frames of one recording, or of several of one video format.
        keypoints: the same keypoints of a hand, in any unit.

    Returns:
        Factor, > 0; z times f is in the unit of x and y.  Noise of the landmarks makes
        it smaller.

    Raises:
        ValueError: landmarks without depth, or whose depth explains nothing: f^2 would not be positive.

    Source: inferred.  Deviation: none.

    Example:
        >>> import numpy as np
        >>> hand = np.random.default_rng(0).normal(size=(21, 3))
        >>> turned = hand[:, [2, 0, 1]]
        >>> round(depth_factor(np.stack([hand, turned]) * np.array([300, 300, 1.5]), hand), 3)
        200.0
    """
    squares = (landmarks[:, _BONES[:, 0]] - landmarks[:, _BONES[:, 1]]).astype(np.float64) ** 2
    lengths = ((keypoints[_BONES[:, 0]] - keypoints[_BONES[:, 1]]).astype(np.float64) ** 2).sum(-1)
    across, depth = squares[..., :2].sum(-1), squares[..., 2]
    weights = 1 / across.sum(1, keepdims=True)
    # Without what the scale of a frame explains.
    unit = lengths / np.linalg.norm(lengths)
    across, depth = ((values - (values @ unit)[:, None] * unit) * weights for values in (across, depth))
    square = -(across * depth).sum() / max((depth**2).sum(), np.finfo(np.float64).tiny)
    if not square > 0:
        raise ValueError(
            f"landmarks must have a depth that evens out the lengths of bones, got a squared factor of {square:g}. "
            "Give more frames, or landmarks with a depth."
        )
    return float(np.sqrt(square))
