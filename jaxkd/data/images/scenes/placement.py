"""Objects of a scene: sizes, places and offsets between the modalities as they were measured."""

import dataclasses
import functools

import numpy as np
from jaxtyping import Float32, Int

from jaxkd.data.images.scenes.layouts import CLASSES, FRAME, BoxSequence, ObjectClass, layouts, plausible
from jaxkd.typing import Split

WINDOW = (320, 240)
"""Width and height of the part of a frame that an image is as large as, in pixels of the frame."""

_SHARES: dict[ObjectClass, float] = {"person": 0.5, "cyclist": 0.25, "car": 0.25}
"""Probability of each class."""

_SMALLEST = 8.0
"""Height of the smallest object, in pixels of the image."""
_LARGEST = 0.9
"""Height and width of the largest object, relative to the image."""
_MOST_HIDDEN = 0.3
"""Intersection of two boxes relative to the smaller one: further ones are drawn anew."""
_TRIES = 4


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Placed:
    """Object of a scene, with boxes of left, top, right and bottom in pixels of the image."""

    kind: ObjectClass
    sequence: str
    """Name of the sequence that the object is from."""
    thermal: Float32[np.ndarray, "4"]
    """Box in thermal light, within the image."""
    visible: Float32[np.ndarray, "4"]
    """Box in visible light; it may reach beyond the image."""
    facing: int
    """1 for motion to the right, -1 to the left."""


def frame_scale(height: int, width: int) -> float:
    """Return how many pixels of the image one pixel of an annotated frame is.

    An image is as large as a `WINDOW` of a frame, or larger along one side.

    Example:
        >>> frame_scale(96, 128)
        0.4
    """
    return min(width / WINDOW[0], height / WINDOW[1])


def draw_placement(
    rng: np.random.Generator, split: Split, height: int, width: int, *, most_objects: int
) -> tuple[Placed, ...]:
    """Draw the objects of a scene, from the highest lower edge to the lowest, which is the nearest.

    Their number is from 0 to `most_objects`.  Each has the class person, cyclist or car with probability 1/2, 1/4 and
    1/4, and the boxes of a random frame of a random sequence of its class, by `frame_scale`.  Frames whose box would be
    below 8 pixels high, or more than 0.9 of the image, are left out.  An object is as far from the left and from the
    top, relative to the room there, as it was in its frame.  One that shares more than 0.3 of a box with another is
    drawn anew, up to four times, and then left out.

    Args:
        rng: source of randomness.
        split: split whose sequences are used.
        height: height of the image, in pixels.
        width: width of the image, in pixels.
        most_objects: largest number of objects.
    """
    usable = _usable(split, height, width)
    kinds: list[ObjectClass] = [kind for kind in CLASSES if usable[kind]]
    shares = np.array([_SHARES[kind] for kind in kinds])
    placed: list[Placed] = []
    for _ in range(int(rng.integers(most_objects, endpoint=True))):
        for _ in range(_TRIES):
            kind = kinds[int(rng.choice(len(kinds), p=shares / shares.sum()))]
            found = usable[kind]
            sequence, frames = found[int(rng.integers(len(found)))]
            one = _place(rng, kind, sequence, int(frames[int(rng.integers(len(frames)))]), height, width)
            if all(_hidden(one.thermal, other.thermal) <= _MOST_HIDDEN for other in placed):
                placed.append(one)
                break
    return tuple(sorted(placed, key=lambda one: float(one.thermal[3])))


@functools.lru_cache(maxsize=12)
def _usable(
    split: Split, height: int, width: int
) -> dict[ObjectClass, list[tuple[BoxSequence, Int[np.ndarray, " frames"]]]]:
    """Return the sequences of each class with the numbers of the frames that fit an image."""
    scale = frame_scale(height, width)
    usable: dict[ObjectClass, list[tuple[BoxSequence, np.ndarray]]] = {}
    for kind, sequences in layouts()[split].items():
        usable[kind] = []
        for sequence in sequences:
            frames = plausible(sequence, kind)
            for boxes in (sequence.visible, sequence.thermal):
                extents = (boxes[frames, 2:] - boxes[frames, :2]) * scale
                fits = (extents[:, 1] >= _SMALLEST) & (extents <= _LARGEST * np.array([width, height])).all(1)
                frames = frames[fits]
            if len(frames):
                usable[kind].append((sequence, frames))
    return usable


def _place(
    rng: np.random.Generator, kind: ObjectClass, sequence: BoxSequence, frame: int, height: int, width: int
) -> Placed:
    box, offset = sequence.thermal[frame], sequence.visible[frame] - sequence.thermal[frame]
    room = np.array(FRAME, np.float32) - (box[2:] - box[:2])
    extent = (box[2:] - box[:2]) * np.float32(frame_scale(height, width))
    first = np.clip(box[:2] / room, 0, 1) * (np.array([width, height], np.float32) - extent)
    thermal = np.concatenate([first, first + extent]).astype(np.float32)
    rightwards = float(sequence.motion[frame, 0]) or rng.uniform(-1, 1)
    return Placed(
        kind=kind,
        sequence=sequence.name,
        thermal=thermal,
        visible=thermal + offset * np.float32(frame_scale(height, width)),
        facing=1 if rightwards > 0 else -1,
    )


def _hidden(left: np.ndarray, right: np.ndarray) -> float:
    """Return the intersection of two boxes relative to the smaller."""
    sides = np.maximum(np.minimum(left[2:], right[2:]) - np.maximum(left[:2], right[:2]), 0)
    return float(sides.prod() / min((left[2:] - left[:2]).prod(), (right[2:] - right[:2]).prod()))
