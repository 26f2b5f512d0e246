"""Labels of whole images and of positions that boxes imply."""

from typing import Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxkd.records.boxes import Boxes

Resizing: TypeAlias = Literal["nearest", "nearest-exact"]
"""Pixel that a cell of stride x stride pixels shows, by torch's names.

- `nearest`: the first, in its top left corner.
- `nearest-exact`: that at the cell's centre, or right below it where four meet.
"""


def union_masks(
    boxes: Boxes, *, classes: int, height: int, width: int, stride: int, resizing: Resizing = "nearest"
) -> Bool[Array, "*b height width classes"]:
    """Return which cells of a level lie in a box of each class: the union of the boxes, resized to the level.

    It equals the mask of a whole image, in which a pixel is in a box if its centre is (left <= x + 1/2 < right), after
    torch's `interpolate` to the level in the mode `resizing`, but only the pixels that are kept are computed.  Shapes
    are fixed, so that it may be compiled.

    Args:
        boxes: objects; padding and ignored ones are in no mask.  Edges may lie outside the image.
        classes: number of classes.  Boxes of any other class are in no mask.
        height: rows of the level; the image has height * stride.
        width: columns of the level.
        stride: pixels of the image along each side of a cell.
        resizing: pixel of a cell that decides.  `nearest` is that of the released code, and half a cell up and left of
            the centres of `jaxkd.vision.detection.maps.DetectionMaps`, which `nearest-exact` takes.

    Raises:
        ValueError: a number that is not positive, or an unknown mode.

    Source: the masks of the weakly supervised learning of arXiv 2405.16038, from the code
    XueZ-phd/Efficient-RGB-T-Early-Fusion-Detection@8b8a6fa.  Deviation: a box with edges between pixels covers those
    whose centres it covers, which is inferred; `nearest-exact` is an option.

    Example:
        >>> import jax.numpy as jnp
        >>> one = {"classes": jnp.array([0]), "mask": jnp.array([True]), "ignored": jnp.array([False])}
        >>> boxes = Boxes(corners=jnp.array([[4.0, 0.0, 14.0, 8.0]]), **one)  # cells begin at the pixels 0, 8 and 16
        >>> union_masks(boxes, classes=1, height=1, width=3, stride=8)[..., 0].tolist()
        [[False, True, False]]
    """
    for name, value in (("classes", classes), ("height", height), ("width", width), ("stride", stride)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}.")
    if resizing not in get_args(Resizing):
        raise ValueError(f"resizing must be one of {', '.join(get_args(Resizing))}, got {resizing!r}.")
    offset = 0 if resizing == "nearest" else stride // 2
    left, top, right, bottom = jnp.split(boxes.corners, 4, axis=-1)
    rows = _covered(top, bottom, jnp.arange(height) * stride + offset)
    columns = _covered(left, right, jnp.arange(width) * stride + offset)
    counts = jnp.einsum("...nh,...nw,...nc->...hwc", rows, columns, _one_hot(boxes, classes))
    return counts > 0


def classes_present(boxes: Boxes, *, classes: int) -> Bool[Array, "*b classes"]:
    """Return which classes an image shows, by its boxes.

    Args:
        boxes: objects; padding and ignored ones show no class.
        classes: number of classes.

    Source: the image labels of the weakly supervised learning of arXiv 2405.16038, from the code
    XueZ-phd/Efficient-RGB-T-Early-Fusion-Detection@8b8a6fa.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> states = {"mask": jnp.array([True, True, False]), "ignored": jnp.array([False, True, False])}
        >>> boxes = Boxes(corners=jnp.ones((3, 4)), classes=jnp.array([2, 1, 0]), **states)
        >>> classes_present(boxes, classes=3).tolist()
        [False, False, True]
    """
    return jnp.any(_one_hot(boxes, classes) > 0, axis=-2)


def _covered(
    least: Float[Array, "*b n 1"], greatest: Float[Array, "*b n 1"], pixels: Array
) -> Float[Array, "*b n cells"]:
    """Return 1 for pixels whose centre lies between the edges."""
    centres = pixels.astype(least.dtype) + 0.5
    centres = jnp.expand_dims(centres, tuple(range(least.ndim - 1)))
    return ((least <= centres) & (centres < greatest)).astype(jnp.float32)


def _one_hot(boxes: Boxes, classes: int) -> Float[Array, "*b n classes"]:
    """Return 1 for the class of each object that counts."""
    counted = boxes.mask & ~boxes.ignored
    return jax.nn.one_hot(boxes.classes, classes) * counted[..., None]
