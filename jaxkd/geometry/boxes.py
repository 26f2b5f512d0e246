"""Areas and overlaps of boxes, and boxes as distances from a point to their four edges."""

import jax.numpy as jnp
from jaxtyping import Array, Float

SMALLEST_AREA = 1e-6
"""Floor of the areas that an overlap is divided by: boxes without area have an IoU of 0 and finite gradients."""


def box_areas(corners: Float[Array, "*b 4"]) -> Float[Array, "*b"]:
    """Return (right - left) * (bottom - top), the area of each box, in squared units of its corners.

    Args:
        corners: left, top, right and bottom edge.

    Returns:
        Per box, float32 (float64 if the input is), >= 0; 0 where right <= left or bottom <= top.

    Raises:
        ValueError: a last axis that does not hold four edges.

    Source: definition.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> box_areas(jnp.array([[0.0, 0.0, 2.0, 3.0], [4.0, 4.0, 4.0, 9.0]])).tolist()
        [6.0, 0.0]
    """
    _require_edges(corners=corners)
    return _area(_wide(corners))


def pairwise_iou(first: Float[Array, "n 4"], second: Float[Array, "m 4"]) -> Float[Array, "n m"]:
    """Return the intersection over union of each box of `first` with each box of `second`.

    Args:
        first: corners of n boxes.
        second: corners of m boxes, in the same unit.

    Returns:
        Per pair, float32 (float64 if an input is), in [0, 1]; 0 where neither box has an area.

    Raises:
        ValueError: boxes that are not [n, 4] and [m, 4].

    Source: Jaccard (1901); open-mmlab/mmdetection@19bceba, `bbox_overlaps`, whose floor of 1e-6 under the union is
    kept: boxes smaller than that have less overlap than they should.  Deviation: inverted boxes have no area, where
    that code multiplies two negative sides.

    Example:
        >>> import jax.numpy as jnp
        >>> first, second = jnp.array([[0.0, 0.0, 2.0, 2.0]]), jnp.array([[0.0, 0.0, 2.0, 1.0], [5.0, 5.0, 6.0, 6.0]])
        >>> pairwise_iou(first, second).tolist()
        [[0.5, 0.0]]
    """
    _require_edges(first=first, second=second)
    if first.ndim != 2 or second.ndim != 2:
        raise ValueError(
            f"first and second must be [n, 4] and [m, 4], got {first.shape} and {second.shape}. Use jax.vmap for the "
            "images of a batch."
        )
    shape = (first.shape[0], second.shape[0], 4)
    return aligned_iou(jnp.broadcast_to(first[:, None], shape), jnp.broadcast_to(second[None], shape))


def aligned_iou(first: Float[Array, "*b 4"], second: Float[Array, "*b 4"]) -> Float[Array, "*b"]:
    """Return the intersection over union of each box of `first` with the box of `second` at the same index.

    Args:
        first: corners; gradients reach both sides, and vanish where the boxes do not touch.
        second: corners of as many boxes, in the same unit.

    Returns:
        Per pair, float32 (float64 if an input is), in [0, 1]; 0 where neither box has an area.

    Raises:
        ValueError: shapes that differ, or a last axis that does not hold four edges.

    Source: as `pairwise_iou`.  Deviation: as there.

    Example:
        >>> import jax.numpy as jnp
        >>> aligned_iou(jnp.array([0.0, 0.0, 2.0, 2.0]), jnp.array([1.0, 0.0, 3.0, 2.0])).round(4).tolist()
        0.33329999446868896
    """
    _require_pairs(first, second)
    overlap, union = _overlap_and_union(_wide(first), _wide(second))
    return overlap / jnp.maximum(union, SMALLEST_AREA)


def generalised_iou(first: Float[Array, "*b 4"], second: Float[Array, "*b 4"]) -> Float[Array, "*b"]:
    """Return IoU - (C - U) / C, with U the area of the union and C that of the smallest box around both.

    Where boxes do not touch it is negative and falls with their distance, so that its gradient still moves them.

    Args:
        first: corners; gradients reach both sides.
        second: corners of as many boxes, in the same unit.

    Returns:
        Per pair, float32 (float64 if an input is), in [-1, 1]; 0 where the box around both has no area.

    Raises:
        ValueError: shapes that differ, or a last axis that does not hold four edges.

    Source: Rezatofighi et al. (arXiv 1902.09630), algorithm 1; open-mmlab/mmdetection@19bceba, `bbox_overlaps`, whose
    floors of 1e-6 are kept.  Deviation: inverted boxes have no area.

    Example:
        >>> import jax.numpy as jnp
        >>> left = jnp.array([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0]])
        >>> right = jnp.array([[0.0, 0.0, 1.0, 1.0], [3.0, 0.0, 4.0, 1.0]])
        >>> generalised_iou(left, right).tolist()
        [1.0, -0.5]
    """
    _require_pairs(first, second)
    first, second = _wide(first), _wide(second)
    overlap, union = _overlap_and_union(first, second)
    union = jnp.maximum(union, SMALLEST_AREA)
    start, end = jnp.minimum(first[..., :2], second[..., :2]), jnp.maximum(first[..., 2:], second[..., 2:])
    around = jnp.maximum(_area(jnp.concatenate([start, end], axis=-1)), SMALLEST_AREA)
    return overlap / union - (around - union) / around


def edge_distances(points: Float[Array, "*b 2"], corners: Float[Array, "*b 4"]) -> Float[Array, "*b 4"]:
    """Return (x - left, y - top, right - x, bottom - y), the distances from a point to the edges of its box.

    Args:
        points: x and y.
        corners: a box for each point, in the same unit.

    Returns:
        Per point, in the order of the corners, float32 (float64 if an input is); all > 0 where the point lies inside.

    Raises:
        ValueError: arrays that are not [..., 2] and [..., 4].

    Source: Tian et al., FCOS (arXiv 1904.01355), equation 1.  Deviation: none; `distribution_focal_loss` clips.

    Example:
        >>> import jax.numpy as jnp
        >>> edge_distances(jnp.array([3.0, 4.0]), jnp.array([1.0, 1.0, 9.0, 5.0])).tolist()
        [2.0, 3.0, 6.0, 1.0]
    """
    _require_points(points, "corners", corners)
    points, corners = _wide(points), _wide(corners)
    return jnp.concatenate([points - corners[..., :2], corners[..., 2:] - points], axis=-1)


def boxes_from_distances(points: Float[Array, "*b 2"], distances: Float[Array, "*b 4"]) -> Float[Array, "*b 4"]:
    """Return the corners of the box around each point from the distances to its edges; undoes `edge_distances`.

    Args:
        points: x and y.
        distances: from the point to the left, top, right and bottom edge, in the same unit.

    Returns:
        Left, top, right and bottom edge, float32 (float64 if an input is).

    Raises:
        ValueError: arrays that are not [..., 2] and [..., 4].

    Source: Tian et al., FCOS (arXiv 1904.01355), equation 1, solved for the box.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> boxes_from_distances(jnp.array([3.0, 4.0]), jnp.array([2.0, 3.0, 6.0, 1.0])).tolist()
        [1.0, 1.0, 9.0, 5.0]
    """
    _require_points(points, "distances", distances)
    points, distances = _wide(points), _wide(distances)
    return jnp.concatenate([points - distances[..., :2], points + distances[..., 2:]], axis=-1)


def clipped(corners: Float[Array, "*b 4"], *, height: float, width: float) -> Float[Array, "*b 4"]:
    """Return the part of each box that lies in an image: x in [0, width] and y in [0, height].

    Args:
        corners: left, top, right and bottom edge.
        height: of the image, in the unit of the corners.
        width: of the image.

    Returns:
        Corners, float32 (float64 if the input is); a box outside the image has no area, on the image's border.

    Raises:
        ValueError: a last axis that does not hold four edges, or an image without pixels.

    Source: definition.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> clipped(jnp.array([-3.0, 2.0, 5.0, 90.0]), height=40, width=60).tolist()
        [0.0, 2.0, 5.0, 40.0]
    """
    _require_edges(corners=corners)
    if not (height > 0 and width > 0):
        raise ValueError(f"height and width must be > 0, got {height} and {width}.")
    corners = _wide(corners)
    ends = jnp.array([width, height, width, height], corners.dtype)
    return jnp.clip(corners, 0, jnp.broadcast_to(ends, corners.shape))


def _overlap_and_union(
    first: Float[Array, "*b 4"], second: Float[Array, "*b 4"]
) -> tuple[Float[Array, "*b"], Float[Array, "*b"]]:
    start, end = jnp.maximum(first[..., :2], second[..., :2]), jnp.minimum(first[..., 2:], second[..., 2:])
    overlap = _area(jnp.concatenate([start, end], axis=-1))
    return overlap, _area(first) + _area(second) - overlap


def _area(corners: Float[Array, "*b 4"]) -> Float[Array, "*b"]:
    sides = jnp.maximum(corners[..., 2:] - corners[..., :2], 0)
    return sides[..., 0] * sides[..., 1]


def _wide(values: Float[Array, "*b k"]) -> Float[Array, "*b k"]:
    """Return float32 or wider: bfloat16 has no more than 256 positions between two powers of two."""
    return values.astype(jnp.promote_types(jnp.float32, values.dtype))


def _require_edges(**named: Float[Array, "..."]) -> None:
    for name, corners in named.items():
        if corners.ndim < 1 or corners.shape[-1] != 4:
            raise ValueError(
                f"{name} must have left, top, right and bottom edge on its last axis, shape [..., 4], got "
                f"{corners.shape}."
            )


def _require_pairs(first: Float[Array, "..."], second: Float[Array, "..."]) -> None:
    _require_edges(first=first, second=second)
    if first.shape != second.shape:
        raise ValueError(
            f"second must have the shape of first, got {second.shape} and {first.shape}. pairwise_iou compares all "
            "boxes with all others."
        )


def _require_points(points: Float[Array, "..."], name: str, edges: Float[Array, "..."]) -> None:
    _require_edges(**{name: edges})
    if points.shape != (*edges.shape[:-1], 2):
        raise ValueError(f"points must hold an x and a y for each row of {name}, got {points.shape} and {edges.shape}.")
