"""Positions of labels beside their dots that hide the least of a drawing."""

import numpy as np
from jaxtyping import Float

_SIDES = np.array([(1, 0), (0, 1), (-1, 0), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)], np.float64)
"""Sides of a dot, in order of preference."""


def free_places(
    dots: Float[np.ndarray, "n 2"],
    sizes: Float[np.ndarray, "n 2"],
    *,
    marks: Float[np.ndarray, "m 2"],
    gap: float,
) -> Float[np.ndarray, "n 2"]:
    """Return the offsets of the labels' centres from their dots, chosen one label after the other.

    Args:
        dots: labelled points.
        sizes: width and height of each label, in the unit of the dots.
        marks: further points that a label should not hide, along lines for example.
        gap: distance between a dot and its label, about half the size of dots and marks.
    """
    dotted, marked = (np.stack([each - 0.6 * gap, each + 0.6 * gap], axis=1) for each in (dots, marks))
    chosen: list[np.ndarray] = []
    taken: list[np.ndarray] = []
    for dot, size in zip(dots, sizes, strict=True):
        offsets = _SIDES * (size / 2 + gap * np.where(np.abs(_SIDES).sum(1, keepdims=True) > 1, 0.6, 1.0))
        boxes = dot + offsets[:, None] + np.array([-0.5, 0.5])[:, None] * size
        # Overlapping labels are illegible; a label over a dot hides a figure, one over a line little.
        hidden = [
            100 * _overlap(box, np.array(taken).reshape(-1, 2, 2)) + 10 * _overlap(box, dotted) + _overlap(box, marked)
            for box in boxes
        ]
        best = int(np.argmin(hidden))
        chosen.append(offsets[best])
        taken.append(boxes[best])
    return np.array(chosen).reshape(-1, 2)


def _overlap(box: Float[np.ndarray, "2 2"], others: Float[np.ndarray, "m 2 2"]) -> float:
    """Return the area that a box shares with others, each given by its low and high corner."""
    sides = np.minimum(box[1], others[:, 1]) - np.maximum(box[0], others[:, 0])
    return float(np.prod(np.maximum(sides, 0), axis=1).sum())
