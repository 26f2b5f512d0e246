"""Assignment of objects to the cells that learn them: adaptive training sample selection (ATSS)."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxkd.geometry import aligned_iou, box_areas, edge_distances
from jaxkd.records.boxes import Boxes
from jaxkd.vision.detection.anchors import cell_centres, square_anchors

INSIDE = 0.01
"""Pixels that the centre of a positive anchor keeps from each edge of its object."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Assignment:
    """The object that each anchor learns, if any."""

    box: Int[Array, "*b n"]
    """Index of the object among the image's boxes; 0 where the anchor is not positive."""
    positive: Bool[Array, "*b n"]
    """Whether the anchor learns an object; it learns background where it is neither positive nor ignored."""
    ignored: Bool[Array, "*b n"]
    """Whether the anchor learns neither an object nor background, since it lies in an ignored box."""


def atss_assign(
    anchors: Float[Array, "n 4"],
    boxes: Boxes,
    *,
    level_sizes: Sequence[int],
    nearest: int = 9,
    ignored_share: float | None = None,
) -> Assignment:
    """Return the object that each anchor of one image learns, by a threshold on the IoU that each object sets itself.

    On each level the `nearest` anchors by the distance between centres are an object's candidates.  Those are positive
    whose IoU with the object is at least mean + standard deviation of the candidates' IoU, and whose centre lies in the
    object, 0.01 pixels from its edges.  An anchor of several objects learns the one with the greatest IoU, of equal
    ones the first.  Shapes depend on the padding alone: it compiles once for any number of objects.

    Args:
        anchors: corners in pixels, the anchors of each level one after the other.
        boxes: objects of one image, padded; rows that are masked may hold anything.  Use jax.vmap for a batch.
        level_sizes: number of anchors of each level, static.
        nearest: candidates of an object on each level; all anchors of a level that has fewer.
        ignored_share: share of an anchor's area in an ignored box above which the anchor is ignored; it is then a
            candidate only where its level has fewer than `nearest` others, and learns the object if it is chosen
            nevertheless.  None ignores no anchor, as in the reference's configs: ignored boxes are not learnt, and
            anchors in them learn background.

    Returns:
        One entry for each anchor; no anchor is positive in an image without objects.  No gradient passes.

    Raises:
        ValueError: shapes that do not agree, no level or one without anchors, or an option out of range.

    Source: Zhang et al. (arXiv 1912.02424), algorithm 1; open-mmlab/mmdetection@0c51592, `ATSSAssigner`, with the
    unbiased standard deviation of that code (divided by k - 1).  Deviation: of anchors at equal distances the first are
    candidates, where torch's order is open; a single candidate has a standard deviation of 0, not NaN.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxkd.vision.detection.anchors import cell_centres, square_anchors
        >>> anchors = square_anchors(cell_centres(2, 2, 8), stride=8, scale=1)
        >>> corners, real = jnp.array([[1.0, 1.0, 8.0, 8.0], [0.0, 0.0, 9.0, 9.0]]), jnp.array([True, False])
        >>> boxes = Boxes(corners=corners, classes=jnp.zeros(2, int), mask=real, ignored=~real)
        >>> found = atss_assign(anchors, boxes, level_sizes=(4,))
        >>> found.positive.tolist(), found.box.tolist()
        ([True, False, False, False], [0, 0, 0, 0])
    """
    _require_levels(anchors, boxes, level_sizes, nearest, ignored_share)
    anchors, corners = (jax.lax.stop_gradient(one).astype(jnp.float32) for one in (anchors, boxes.corners))
    learnt = boxes.mask & ~boxes.ignored
    corners = jnp.where(boxes.mask[:, None], corners, 0.0)
    ignored = _ignored(anchors, corners, boxes.mask & boxes.ignored, ignored_share)
    candidates = _candidates(anchors, corners, ignored, level_sizes, nearest)
    near = anchors[candidates]
    objects = jnp.broadcast_to(corners[:, None], near.shape)
    overlap = aligned_iou(near, objects)
    inside = jnp.min(edge_distances(_centres(near), objects), axis=-1) > INSIDE
    positive = learnt[:, None] & inside & (overlap >= _threshold(overlap)[:, None])
    box = _greatest(candidates, jnp.where(positive, overlap, -1.0), anchors.shape[0])
    found = box < corners.shape[0]
    return Assignment(box=jnp.where(found, box, 0), positive=found, ignored=ignored & ~found)


def assign_cells(
    boxes: Boxes,
    *,
    sizes: Sequence[tuple[int, int]],
    strides: Sequence[int],
    scale: float = 8.0,
    nearest: int = 9,
    ignored_share: float | None = None,
) -> Assignment:
    """Return the object that each cell of a pyramid learns in each image: `atss_assign` with one anchor for each cell.

    It reads the objects alone, so that the number of positive cells of a batch is known before any network runs.

    Args:
        boxes: objects of a batch of images, [b, n].
        sizes: rows and columns of the map of each level, the finest first.
        strides: pixels between the centres of neighbouring cells of each level.
        scale: side of the anchors, in strides.
        nearest: as in `atss_assign`.
        ignored_share: as in `atss_assign`.

    Returns:
        One row for each image and one entry for each cell: level by level, each row by row.

    Raises:
        ValueError: boxes of a single image, other numbers of levels, or an option out of range.

    Source: as `atss_assign`.  Deviation: as there, and in `cell_centres`.

    Example:
        >>> import jax.numpy as jnp
        >>> corners, one = jnp.array([[[0.0, 0.0, 64.0, 64.0]]]), jnp.ones((1, 1), bool)
        >>> boxes = Boxes(corners=corners, classes=jnp.zeros((1, 1), int), mask=one, ignored=~one)
        >>> assign_cells(boxes, sizes=((4, 4), (2, 2)), strides=(16, 32), scale=2).positive.sum(axis=1).tolist()
        [4]
    """
    if boxes.corners.ndim != 3:
        raise ValueError(f"boxes must be those of a batch, corners [b, n, 4], got {boxes.corners.shape}.")
    if len(sizes) != len(strides):
        raise ValueError(f"sizes and strides must have an entry for each level, got {len(sizes)} and {len(strides)}.")
    anchors = [
        square_anchors(cell_centres(height, width, stride), stride=stride, scale=scale)
        for (height, width), stride in zip(sizes, strides, strict=True)
    ]
    every, level_sizes = jnp.concatenate(anchors), tuple(map(len, anchors))

    def of_image(one: Boxes) -> Assignment:
        return atss_assign(every, one, level_sizes=level_sizes, nearest=nearest, ignored_share=ignored_share)

    return jax.vmap(of_image)(boxes)


def _candidates(
    anchors: Float[Array, "n 4"],
    corners: Float[Array, "m 4"],
    ignored: Bool[Array, " n"],
    level_sizes: Sequence[int],
    nearest: int,
) -> Int[Array, "m k"]:
    """Return the indices of the nearest anchors of each level, by the distance of their centres from each box's."""
    gaps = _centres(corners)[:, None] - _centres(anchors)[None]
    nearness = jnp.where(ignored[None], -jnp.inf, -jnp.sum(jnp.square(gaps), axis=-1))
    starts, found = np.cumsum((0, *level_sizes)), []
    for start, size in zip(starts, level_sizes, strict=False):
        # Of equal values, top_k takes the first.
        found.append(jax.lax.top_k(nearness[:, start : start + size], min(nearest, size))[1] + start)
    return jnp.concatenate(found, axis=1)


def _threshold(overlap: Float[Array, "m k"]) -> Float[Array, " m"]:
    """Return mean + standard deviation of each box's candidates, the latter unbiased."""
    count = overlap.shape[1]
    mean = jnp.mean(overlap, axis=1)
    squares = jnp.sum(jnp.square(overlap - mean[:, None]), axis=1)
    return mean + jnp.sqrt(squares / max(count - 1, 1))


def _greatest(candidates: Int[Array, "m k"], overlap: Float[Array, "m k"], number: int) -> Int[Array, " n"]:
    """Return, for each of `number` anchors, the first box with the greatest overlap >= 0, or m where there is none."""
    count = candidates.shape[0]
    best = jnp.full(number, -1.0).at[candidates].max(overlap)
    rows = jnp.broadcast_to(jnp.arange(count)[:, None], candidates.shape)
    wins = (overlap >= 0) & (overlap == best[candidates])
    return jnp.full(number, count).at[candidates].min(jnp.where(wins, rows, count))


def _ignored(
    anchors: Float[Array, "n 4"], corners: Float[Array, "m 4"], mask: Bool[Array, " m"], share: float | None
) -> Bool[Array, " n"]:
    """Return whether more than `share` of each anchor's area lies in one of the boxes that the mask names."""
    if share is None or corners.shape[0] == 0:
        return jnp.zeros(anchors.shape[0], bool)
    first, second = anchors[:, None], corners[None]
    start, end = jnp.maximum(first[..., :2], second[..., :2]), jnp.minimum(first[..., 2:], second[..., 2:])
    covered = box_areas(jnp.concatenate([start, end], axis=-1)) / box_areas(anchors)[:, None]
    return jnp.any(mask[None] & (covered > share), axis=1)


def _centres(corners: Float[Array, "*b 4"]) -> Float[Array, "*b 2"]:
    return (corners[..., :2] + corners[..., 2:]) / 2


def _require_levels(
    anchors: Float[Array, "n 4"], boxes: Boxes, level_sizes: Sequence[int], nearest: int, ignored_share: float | None
) -> None:
    if boxes.corners.ndim != 2:
        raise ValueError(
            f"boxes must be those of one image, corners [n, 4], got {boxes.corners.shape}. Use jax.vmap for a batch."
        )
    if not level_sizes or min(level_sizes) < 1 or anchors.shape != (sum(level_sizes), 4):
        raise ValueError(
            "level_sizes must have the number of anchors of each level, 1 or more, got "
            f"{tuple(level_sizes)} for anchors of shape {anchors.shape}."
        )
    if nearest < 1:
        raise ValueError(f"nearest must be 1 or more, got {nearest}: each object needs candidates.")
    if ignored_share is not None and not 0 < ignored_share < 1:
        raise ValueError(f"ignored_share must be None or lie between 0 and 1, got {ignored_share}.")
