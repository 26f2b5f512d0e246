"""Boxes from the maps of a detection network."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxkd.geometry import box_areas, boxes_from_distances, clipped, nms
from jaxkd.losses import expected_distance
from jaxkd.vision.detection.anchors import cell_centres
from jaxkd.vision.detection.detections import Detections
from jaxkd.vision.detection.maps import DetectionMaps


@functools.partial(jax.jit, static_argnames=("image_size", "score_threshold", "before", "iou_threshold", "count"))
def decode(
    maps: DetectionMaps,
    *,
    image_size: tuple[int, int],
    score_threshold: float = 0.05,
    before: int = 1000,
    iou_threshold: float = 0.6,
    count: int = 100,
) -> Detections:
    """Return the objects of each image: the best candidates of each level, without those that repeat a better one.

    A candidate is a class at a cell.  On each level the `before` best ones above the threshold become boxes, whose
    edges lie `expected_distance` strides from the cell's centre; greedy suppression for each class keeps `count` of all
    levels together.  It is compiled, for each set of options and shapes once.

    Args:
        maps: of a batch.
        image_size: height and width in pixels of the images that the network saw; boxes are clipped to it.
        score_threshold: a candidate's score is above it.
        before: candidates of each level before the suppression.
        iou_threshold: greatest IoU of two boxes of one class.
        count: rows of the result for each image.

    Returns:
        Corners and scores in float32.  Candidates of equal score come in the order of levels, cells and classes; those
        whose scores differ by less than float32 can tell are ordered by their logits.

    Raises:
        ValueError: maps whose levels do not agree, or a number of candidates or rows below 1.

    Source: Li et al. (arXiv 2006.04388), section 4, with the settings of their released configs;
    open-mmlab/mmdetection 3.2, `GFLHead` and `filter_scores_and_topk` (@0057860), and its removal of boxes without
    area.  Deviation: the cells' centres, as `cell_centres` states.

    Example:
        >>> import jax.numpy as jnp
        >>> logits = jnp.full((1, 2, 2, 3), -9.0).at[0, 1, 0, 2].set(9.0)
        >>> edges = jnp.zeros((1, 2, 2, 4, 3))  # one stride to each edge
        >>> maps = DetectionMaps(class_logits=(logits,), edge_logits=(edges,), tower=(logits,), strides=(8,))
        >>> found = decode(maps, image_size=(16, 16), count=2)
        >>> found.mask.tolist(), found.classes[0, 0].item(), found.corners[0, 0].tolist()
        ([[True, False]], 2, [0.0, 4.0, 12.0, 16.0])
    """
    require_levels(maps)
    if before < 1 or count < 1:
        raise ValueError(f"before and count must be 1 or more, got {before} and {count}.")
    height, width = image_size

    def of_image(class_logits: tuple[Array, ...], edge_logits: tuple[Array, ...]) -> Detections:
        levels = [
            _candidates(*level, before=before) for level in zip(class_logits, edge_logits, maps.strides, strict=True)
        ]
        corners, logits, classes = (jnp.concatenate(parts) for parts in zip(*levels, strict=True))
        corners, scores = clipped(corners, height=height, width=width), jax.nn.sigmoid(logits)
        mask = (scores > score_threshold) & (box_areas(corners) > 0)
        # Logits still differ where scores are rounded to 1.
        found, kept = nms(corners, logits, classes, mask=mask, threshold=iou_threshold, count=count)
        return Detections(
            corners=jnp.where(kept[:, None], corners[found], 0),
            scores=jnp.where(kept, scores[found], 0),
            classes=jnp.where(kept, classes[found], 0),
            mask=kept,
        )

    return jax.vmap(of_image)(maps.class_logits, maps.edge_logits)


def require_levels(maps: DetectionMaps) -> None:
    """Check that the levels of maps agree.

    Raises:
        ValueError: other numbers of levels, or maps of one level that differ in size.
    """
    numbers = len(maps.class_logits), len(maps.edge_logits), len(maps.strides)
    if len(set(numbers)) != 1 or not numbers[0]:
        raise ValueError(
            f"maps must have class logits, edge logits and a stride for each level, got {numbers[0]}, {numbers[1]} and "
            f"{numbers[2]} of them."
        )
    for logits, edges, stride in zip(maps.class_logits, maps.edge_logits, maps.strides, strict=True):
        if logits.ndim != 4 or edges.shape[:4] != (*logits.shape[:3], 4) or edges.ndim != 5:
            raise ValueError(
                "maps must have class logits [b, h, w, classes] and edge logits [b, h, w, 4, bins] on each level, got "
                f"{logits.shape} and {edges.shape} at stride {stride}."
            )


def _candidates(
    class_logits: Float[Array, "h w c"], edge_logits: Float[Array, "h w 4 bins"], stride: int, *, before: int
) -> tuple[Float[Array, "k 4"], Float[Array, " k"], Int[Array, " k"]]:
    """Return corners in pixels, logits and classes of the best candidates of one level."""
    height, width, number = class_logits.shape
    values = class_logits.reshape(-1).astype(jnp.float32)
    logits, places = jax.lax.top_k(values, min(before, values.size))
    cells, classes = places // number, places % number
    distances = expected_distance(edge_logits.reshape(height * width, 4, -1)[cells]) * stride
    return boxes_from_distances(cell_centres(height, width, stride)[cells], distances), logits, classes
