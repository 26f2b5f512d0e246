"""Parts of a small picture: a mask as outlines, and an image as a PNG that a page can hold."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, UInt8

from jaxkd.training.results.picture import Outline

SHOWN = 6
"""Number of images that an evaluation stores for a page, spread evenly over the strata."""

_FINE = 0.02
"""Largest tolerance of an outline, as a share of its longer side."""


def outlines(mask: Bool[np.ndarray, "h w"], *, tolerance: float = 0.5) -> tuple[Outline, ...]:
    """Return the borders of a mask's regions and of their holes, in pixels, by marching squares.

    A border runs halfway between the centres of two pixels of which one is in the mask.  Drawn by the even-odd rule,
    the outlines fill the mask.

    Args:
        mask: which pixels belong to the regions.
        tolerance: largest distance in pixels by which a simplified border may leave the exact one, at least 0; at most
            a fiftieth of the region's longer side, so that a small region keeps its shape.

    Returns:
        Closed polygons, rounded to a tenth of a pixel, in coordinates whose origin is the picture's top left corner;
        none for an empty mask.

    Raises:
        TypeError: a mask that is not of booleans.
        ValueError: a mask of another rank, or a negative tolerance.

    Source: simplification by Douglas and Peucker, 1973 (doi:10.3138/FM57-6770-U75U-7727), from two corners that lie far
    apart.  Deviation: an outline that would keep fewer than three corners is not simplified.

    Example:
        >>> import numpy as np
        >>> mask = np.zeros((3, 4), bool)
        >>> mask[1, 2] = True
        >>> outlines(mask)
        (((2.0, 1.5), (2.5, 1.0), (3.0, 1.5), (2.5, 2.0)),)
    """
    if mask.dtype != np.bool_:
        raise TypeError(f"mask must be an array of booleans, got {mask.dtype}. Compare with a threshold first.")
    if mask.ndim != 2:
        raise ValueError(f"mask must have shape [h w], got {mask.shape}. Give one mask of one class at a time.")
    if not tolerance >= 0:
        raise ValueError(f"tolerance must be 0 pixels or more, got {tolerance}.")
    import contourpy

    # A margin closes the borders of regions that touch the picture's edge.
    padded = np.pad(mask, 1).astype(np.float64)
    lines = contourpy.contour_generator(z=padded, line_type=contourpy.LineType.Separate).lines(0.5)
    # Less the margin; half a pixel from the centre of the first pixel to its corner.
    exact = [np.asarray(line)[:-1] - 0.5 for line in lines]
    rings = (_simplified(ring, min(tolerance, _FINE * float(np.ptp(ring, axis=0).max()))) for ring in exact)
    return tuple(tuple((float(x), float(y)) for x, y in np.round(ring, 1)) for ring in rings)


def thumbnail(image: UInt8[np.ndarray, "h w *c"], *, longest: int = 192) -> str:
    """Return an image as a PNG in base64, made smaller if its longer side has more than `longest` pixels.

    Args:
        image: grey values [h w] or [h w 1], or red, green and blue [h w 3].
        longest: largest width and height of the PNG, at least 1.

    Raises:
        TypeError: an image that is not of uint8.
        ValueError: another shape, an image without pixels, or a limit below 1.

    Example:
        >>> import numpy as np
        >>> thumbnail(np.zeros((2, 3), np.uint8))[:11]
        'iVBORw0KGgo'
    """
    if image.dtype != np.uint8:
        raise TypeError(f"image must be an array of uint8, got {image.dtype}. Scale it to 0 to 255 and round.")
    if not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3))) or not image.size:
        raise ValueError(f"image must have pixels in shape [h w], [h w 1] or [h w 3], got {image.shape}.")
    if longest < 1:
        raise ValueError(f"longest must be at least 1 pixel, got {longest}.")
    from PIL import Image

    drawn = Image.fromarray(image[:, :, 0] if image.shape[2:] == (1,) else image)
    drawn.thumbnail((longest, longest), Image.Resampling.BOX)
    buffer = io.BytesIO()
    drawn.save(buffer, format="PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def evenly_chosen(strata: Sequence[str], *, count: int = SHOWN) -> list[int]:
    """Return the places of the first members of each stratum, equally many, in the order of the strata.

    Args:
        strata: stratum of each image.
        count: number of places; with more strata than that, one of each.

    Example:
        >>> evenly_chosen(["mild", "severe", "mild", "mild"], count=4)
        [0, 2, 1]
    """
    places = _members(strata)
    each = max(count // len(places), 1) if places else 0
    return [place for members in places.values() for place in members[:each]]


def evenly_spaced(strata: Sequence[str], *, each: int) -> list[int]:
    """Return the places of `each` members of each stratum, spread evenly over it, in the order of the strata.

    Frames of a recording that follow one another look alike, so that the first ones would show one scene.

    Args:
        strata: stratum of each image.
        each: number of places of each stratum; all of its members, if it has no more.

    Example:
        >>> evenly_spaced(["left", "right"] * 4, each=2)
        [0, 4, 1, 5]
    """
    spaced = []
    for members in _members(strata).values():
        count = min(each, len(members))
        spaced += [members[number * len(members) // count] for number in range(count)]
    return spaced


def _members(strata: Sequence[str]) -> dict[str, list[int]]:
    """Return the places of the members of each stratum."""
    return {name: [place for place, one in enumerate(strata) if one == name] for name in dict.fromkeys(strata)}


def _simplified(ring: Float[np.ndarray, "n 2"], tolerance: float) -> Float[np.ndarray, "m 2"]:
    """Drop corners of a closed polygon that lie within `tolerance` of the line without them."""
    far = int(np.argmax(np.sum(np.square(ring - ring[0]), axis=1)))
    closed = np.concatenate([ring, ring[:1]])
    kept = {0, far}
    stretches = [(0, far), (far, len(ring))]
    while stretches:
        first, last = stretches.pop()
        if last - first < 2:
            continue
        distances = _distances(closed[first + 1 : last], closed[first], closed[last])
        worst = int(np.argmax(distances))
        # Corners on the line are dropped at tolerance 0 too, in spite of rounding.
        if distances[worst] > max(tolerance, 1e-9):
            middle = first + 1 + worst
            kept.add(middle)
            stretches += [(first, middle), (middle, last)]
    return ring[sorted(kept)] if len(kept) > 2 else ring


def _distances(
    points: Float[np.ndarray, "n 2"], start: Float[np.ndarray, " 2"], end: Float[np.ndarray, " 2"]
) -> Float[np.ndarray, " n"]:
    """Return the points' distances from the segment between two others, which differ."""
    along = end - start
    place = np.clip((points - start) @ along / (along @ along), 0, 1)
    return np.linalg.norm(points - start - place[:, None] * along, axis=1)
