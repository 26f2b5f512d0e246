"""Boxes of one image, padded to the number of rows that all images of a source have."""

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxkd.records import Boxes


def pad_boxes(
    corners: Float[np.ndarray, "n 4"], *, classes: Int[np.ndarray, " n"], ignored: Bool[np.ndarray, " n"], rows: int
) -> Boxes:
    """Return `Boxes` of NumPy arrays with `rows` rows, the objects first and padding of zeros after them.

    Args:
        corners: left, top, right and bottom edge of each object, in pixels.
        classes: class of each object, from 0.
        ignored: whether an object is neither learnt nor counted.
        rows: number of rows, at least that of the objects.

    Raises:
        ValueError: more objects than rows.

    Example:
        >>> found = pad_boxes(np.ones((1, 4)), classes=np.array([2]), ignored=np.array([False]), rows=3)
        >>> found.corners.shape, found.classes.tolist(), found.mask.tolist()
        ((3, 4), [2, 0, 0], [True, False, False])
    """
    count = len(corners)
    if count > rows:
        raise ValueError(f"rows must be at least the number of objects, {count}, got {rows}.")
    # `Any` arrays: the record is annotated with JAX's, and holds NumPy's on the host.
    padded: dict = {
        "corners": np.zeros((rows, 4), np.float32),
        "classes": np.zeros(rows, np.int32),
        "mask": np.arange(rows) < count,
        "ignored": np.zeros(rows, bool),
    }
    padded["corners"][:count], padded["classes"][:count], padded["ignored"][:count] = corners, classes, ignored
    return Boxes(**padded)
