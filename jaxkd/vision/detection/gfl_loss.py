"""Generalized focal loss of a detection network: sums for each image, and what they are divided by."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.geometry import aligned_iou, boxes_from_distances, edge_distances
from jaxkd.losses import distribution_focal_loss, expected_distance, giou_loss, quality_focal_loss
from jaxkd.records.boxes import Boxes
from jaxkd.typing import Scalar
from jaxkd.vision.detection.anchors import cell_centres
from jaxkd.vision.detection.assignment import Assignment
from jaxkd.vision.detection.decoding import require_levels
from jaxkd.vision.detection.maps import DetectionMaps


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class GFLSums:
    """Sums of the generalized focal loss over the cells of each image, and their denominators.

    The denominators are those of the whole batch: add up `positives` and `weights` over all images, micro-batches and
    devices, and divide the sums by the totals.  `positives` depends on the objects alone, `weights` on the network.
    """

    quality: Float[Array, " b"]
    """Quality focal loss, added up over cells and classes."""
    giou: Float[Array, " b"]
    """1 - GIoU, added up over the positive cells, each with its weight."""
    distribution: Float[Array, " b"]
    """Mean distribution focal loss of the four edges, added up over the positive cells, each with its weight."""
    positives: Float[Array, " b"]
    """Number of positive cells."""
    weights: Float[Array, " b"]
    """Sum of the positive cells' weights: the greatest class score of each, gradient-stopped."""

    def loss(
        self,
        *,
        positives: Scalar | None = None,
        weights: Scalar | None = None,
        giou_weight: float = 2.0,
        distribution_weight: float = 0.25,
    ) -> Scalar:
        """Return quality / positives + giou_weight * giou / weights + distribution_weight * distribution / weights.

        Args:
            positives: positive cells by which the quality is divided, at least 1; by default those of these images.
            weights: total weight by which the others are divided, at least 1; by default that of these images.
            giou_weight: weight of 1 - GIoU.
            distribution_weight: weight of the distribution focal loss.
        """
        cells = jnp.maximum(jnp.sum(self.positives) if positives is None else positives, 1)
        weight = jnp.maximum(jnp.sum(self.weights) if weights is None else weights, 1)
        boxes = giou_weight * jnp.sum(self.giou) + distribution_weight * jnp.sum(self.distribution)
        return jnp.sum(self.quality) / cells + boxes / weight


def gfl_losses(
    maps: DetectionMaps,
    boxes: Boxes,
    assignment: Assignment,
) -> GFLSums:
    """Return the sums of the generalized focal loss of each image, and the denominators for the whole batch.

    Boxes are compared in strides of their level.  A positive cell's quality is the IoU of its predicted box with its
    object, gradient-stopped, and its weight the greatest score of any class there, gradient-stopped.

    Args:
        maps: of a batch; gradients reach the logits of classes and edges.
        boxes: the objects of each image, in pixels of the images that the network saw; masked rows may hold anything.
        assignment: the object that each cell learns, by `assign_cells` for instance; ignored cells add nothing to any
            sum.

    Returns:
        One entry for each image, float32 (float64 if the maps are).  An image without objects has a quality term and
        no others.

    Raises:
        ValueError: maps whose levels do not agree, boxes of another number of images, or an assignment of other cells.

    Source: Li et al. (arXiv 2006.04388), equation 8, and open-mmlab/mmdetection@0009b6e, `GFLHead`, with the weights of
    boxes from that code.  Deviation: that code counts one positive cell in an image without any, and the average over
    devices where this is for the caller to add up; and the cells' centres, as `cell_centres` states.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxkd.vision.detection.assignment import assign_cells
        >>> logits, edges = jnp.zeros((1, 4, 4, 1)), jnp.zeros((1, 4, 4, 4, 17))
        >>> maps = DetectionMaps(class_logits=(logits,), edge_logits=(edges,), tower=(logits,), strides=(8,))
        >>> corners, one = jnp.array([[[0.0, 0.0, 32.0, 32.0]]]), jnp.ones((1, 1), bool)
        >>> boxes = Boxes(corners=corners, classes=jnp.zeros((1, 1), int), mask=one, ignored=~one)
        >>> sums = gfl_losses(maps, boxes, assign_cells(boxes, sizes=[(4, 4)], strides=(8,), scale=4))
        >>> sums.positives.tolist(), sums.weights.tolist(), round(float(sums.quality[0]), 2)
        ([4.0], [2.0], 2.61)
    """
    require_levels(maps)
    rows = maps.class_logits[0].shape[0]
    if boxes.corners.ndim != 3 or boxes.corners.shape[0] != rows:
        raise ValueError(
            f"boxes must be those of the maps' {rows} images, corners [b, n, 4], got {boxes.corners.shape}."
        )
    points, strides = _cells([one.shape[1:3] for one in maps.class_logits], maps.strides)
    if assignment.box.shape != (rows, len(points)):
        raise ValueError(
            f"assignment must have an entry for each of {len(points)} cells in {rows} images, got "
            f"{assignment.box.shape}. Give assign_cells the sizes of the maps."
        )

    def of_image(classes: Array, edges: Array, one: Boxes, found: Assignment) -> GFLSums:
        return _image_sums(classes, edges, one, found, points=points, strides=strides)

    return jax.vmap(of_image)(_flat(maps.class_logits), _flat(maps.edge_logits), boxes, assignment)


def _image_sums(
    class_logits: Float[Array, "n c"],
    edge_logits: Float[Array, "n 4 bins"],
    boxes: Boxes,
    found: Assignment,
    *,
    points: Float[Array, "n 2"],
    strides: Float[Array, " n"],
) -> GFLSums:
    """Return the sums of one image; `points` are the cells' centres in strides."""
    target, classes = _targets(boxes, found, strides)
    predicted = boxes_from_distances(points, expected_distance(edge_logits))
    iou = aligned_iou(jax.lax.stop_gradient(predicted), target)
    quality = jnp.where(found.positive, iou, 0.0)[:, None] * jax.nn.one_hot(classes, class_logits.shape[-1])
    nats = jnp.sum(quality_focal_loss(class_logits, quality), axis=-1)
    scores = jax.nn.sigmoid(jax.lax.stop_gradient(class_logits).astype(nats.dtype))
    weights = jnp.where(found.positive, jnp.max(scores, axis=-1), 0.0)
    edges = jnp.mean(distribution_focal_loss(edge_logits, edge_distances(points, target)), axis=-1)
    return GFLSums(
        quality=jnp.sum(jnp.where(found.ignored, 0.0, nats)),
        giou=jnp.sum(weights * giou_loss(predicted, target)),
        distribution=jnp.sum(weights * edges),
        positives=jnp.sum(found.positive, dtype=jnp.float32),
        weights=jnp.sum(weights),
    )


def _targets(boxes: Boxes, found: Assignment, strides: Float[Array, " n"]) -> tuple[Float[Array, "n 4"], Array]:
    """Return corners in strides and the class of each cell's object; a box without area where it has none."""
    if boxes.corners.shape[0] == 0:
        return jnp.zeros((*found.box.shape, 4)), jnp.zeros(found.box.shape, jnp.int32)
    # Where first: padding may hold NaN, and 0 times NaN is NaN.
    corners = jnp.where(found.positive[:, None], boxes.corners[found.box], 0.0).astype(jnp.float32)
    return corners / strides[:, None], boxes.classes[found.box]


def _cells(
    sizes: Sequence[tuple[int, ...]], strides: tuple[int, ...]
) -> tuple[Float[Array, "n 2"], Float[Array, " n"]]:
    """Return the centres of all cells, in strides of their level, and the stride of each."""
    centres = [cell_centres(height, width, 1) for height, width in sizes]
    repeated = [jnp.full(len(one), stride, jnp.float32) for one, stride in zip(centres, strides, strict=True)]
    return jnp.concatenate(centres), jnp.concatenate(repeated)


def _flat(levels: tuple[Float[Array, "b h w ..."], ...]) -> Float[Array, "b n ..."]:
    """Return the cells of all levels, one after the other."""
    return jnp.concatenate([one.reshape(one.shape[0], -1, *one.shape[3:]) for one in levels], axis=1)
