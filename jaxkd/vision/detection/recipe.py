"""Base recipe for detection: the generalized focal loss, and weak supervision of the backbone."""

import dataclasses
import math
from typing import cast

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxkd.data.images.augmentation import ImageAugmentation
from jaxkd.data.images.detection import BoxAugmentation, DetectionSource
from jaxkd.losses import WeakSupervisionLoss, weak_supervision_loss
from jaxkd.losses.reduce import reported
from jaxkd.records import Boxes, DetectionBatch, Mean
from jaxkd.training.recipe import Curve
from jaxkd.typing import Key, Params, Scalar
from jaxkd.vision.detection.assignment import Assignment, assign_cells
from jaxkd.vision.detection.detector import Detector
from jaxkd.vision.detection.early_fusion import EarlyFusion
from jaxkd.vision.detection.gfl_loss import gfl_losses
from jaxkd.vision.detection.maps import DetectionMaps, WeakMaps
from jaxkd.vision.detection.union_masks import classes_present, union_masks
from jaxkd.vision.recipe import NetworkRecipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectionRecipe(NetworkRecipe):
    """Recipe that trains a detector.

    The label loss of a batch is

        sum QFL / P + (giou_weight * sum w (1 - GIoU) + distribution_weight * sum w DFL) / sum w + weak_rate * weak

    over the cells of all its images: P is the number of cells that learn an object, w the greatest class score of each
    of them, and weak the mean over images and levels of the mask loss and the class loss of `weak_supervision_loss`.
    The sum of w depends on the network, so that no part of a batch has a loss of its own: `accumulation` must be 1.
    """

    data: DetectionSource
    """Images to learn from, with boxes."""
    network: Detector
    """Detector to train."""
    augmentation: ImageAugmentation | None = BoxAugmentation()
    """Random changes of the training images; None: none."""
    giou_weight: float = 2.0
    """Weight of 1 - GIoU."""
    distribution_weight: float = 0.25
    """Weight of the distribution focal loss."""
    weak_rate: float = 0.0
    """Weight of weak supervision, for an `EarlyFusion` with `weak_branch`; 1 is the paper's.  Where the paper has the
    scores of an image-text model, the classes in the image stand, which those scores are raised to 1 at."""
    anchor_scale: float = 8.0
    """Side of the square anchors, in strides, by which cells are assigned to objects.  An object much smaller than the
    finest anchors, of 64 pixels by default, has no cell: the metric `objects_learnt` is the share of those with one."""
    nearest: int = 9
    """Candidates of an object on each level."""

    def validate(self) -> None:
        for name in ("giou_weight", "distribution_weight", "weak_rate"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}.")
        if not self.anchor_scale > 0:
            raise ValueError(f"anchor_scale must be above 0 strides, got {self.anchor_scale}.")
        if self.nearest < 1:
            raise ValueError(f"nearest must be at least 1, got {self.nearest}.")
        if self.network.classes != len(self.data.classes):
            raise ValueError(
                f"network must have the {len(self.data.classes)} classes of the data, {', '.join(self.data.classes)}, "
                f"got {self.network.classes}."
            )
        branch = isinstance(self.network, EarlyFusion) and self.network.weak_branch
        if bool(self.weak_rate) != branch:
            raise ValueError(
                f"weak_rate must be above 0 for a network with weak_branch, and 0 for others, got {self.weak_rate} "
                f"{'with' if branch else 'without'} the branch."
            )
        super().validate()

    def reads_whole_batches(self) -> bool:
        return True

    def curves(self) -> tuple[Curve, ...]:
        return (
            Curve(metric="quality_loss", title="Quality focal loss", unit="nats an object's cell"),
            Curve(metric="giou_loss", title="1 - GIoU"),
            Curve(metric="distribution_loss", title="Distribution focal loss", unit="nats an edge"),
            Curve(metric="mask_loss", title="Weak supervision: masks"),
            Curve(metric="class_loss", title="Weak supervision: classes", unit="nats a class"),
            Curve(metric="objects_learnt", title="Objects that a cell learns", unit="share"),
            Curve(metric="visible_weight", title="Weight of the visible image"),
            Curve(metric="visible_weight_deviation", title="Deviation of that weight within an image"),
        )

    def counts(self, batch: DetectionBatch) -> dict[str, Array]:
        positive = self._assignment(batch).positive
        return super().counts(batch) | {"positives": jnp.sum(positive, dtype=jnp.float32)}

    def label_loss(
        self, params: Params, maps: DetectionMaps, batch: DetectionBatch, counts: dict[str, Array], key: Key
    ) -> tuple[Scalar, dict[str, Mean]]:
        """Return the label loss of a whole batch, and the metrics of its terms.

        Args:
            params: the student's parameters, of which the branch for weak supervision maps class scores.
            maps: outputs of the network.
            batch: images and boxes.
            counts: from `counts`, of all devices.
            key: random key of the branch's dropout.
        """
        assignment = self._assignment(batch)
        sums = gfl_losses(maps, batch.targets, assignment)
        loss = sums.loss(
            positives=counts["positives"], giou_weight=self.giou_weight, distribution_weight=self.distribution_weight
        )
        weight = jnp.sum(sums.weights)
        metrics = {
            "quality_loss": Mean(total=jnp.sum(sums.quality), count=jnp.sum(sums.positives)),
            "giou_loss": Mean(total=jnp.sum(sums.giou), count=weight),
            "distribution_loss": Mean(total=jnp.sum(sums.distribution), count=weight),
            "objects_learnt": _objects_learnt(assignment, batch.targets),
        }
        every = jnp.ones(batch.images.shape[:1], bool)
        if maps.weak is not None:
            weak = self._weak_loss(params, maps.weak, maps, batch, key)
            loss += self.weak_rate * jnp.sum(weak.mask_loss + weak.class_loss) / counts["images"]
            metrics["mask_loss"] = reported(weak.mask_loss, every)
            metrics["class_loss"] = reported(weak.class_loss, every)
        if maps.modality_weights is not None:
            visible = maps.modality_weights[..., 0]
            metrics["visible_weight"] = reported(jnp.mean(visible, axis=(1, 2)), every)
            metrics["visible_weight_deviation"] = reported(jnp.std(visible, axis=(1, 2)), every)
        return loss, jax.lax.stop_gradient(metrics)

    def _assignment(self, batch: DetectionBatch) -> Assignment:
        height, width = batch.images.shape[1:3]
        strides = self.network.strides
        return assign_cells(
            batch.targets,
            sizes=[(math.ceil(height / stride), math.ceil(width / stride)) for stride in strides],
            strides=strides,
            scale=self.anchor_scale,
            nearest=self.nearest,
        )

    def _weak_loss(
        self, params: Params, weak: WeakMaps, maps: DetectionMaps, batch: DetectionBatch, key: Key
    ) -> WeakSupervisionLoss:
        """Return the means over the backbone's maps, of strides 8, 16 and 32."""
        network = cast(EarlyFusion, self.network)  # no other has the branch
        labels = classes_present(batch.targets, classes=network.classes)
        scores = network.score_logits(params, labels.astype(jnp.float32), key=key)
        terms = []
        for place, (image_logits, mask_logits) in enumerate(zip(weak.image_logits, weak.mask_logits, strict=True)):
            masks = union_masks(
                batch.targets,
                classes=network.classes,
                height=mask_logits.shape[1],
                width=mask_logits.shape[2],
                stride=maps.strides[place],
            )
            terms.append(weak_supervision_loss(image_logits, mask_logits, labels, masks, scores))
        return jax.tree.map(lambda *levels: jnp.mean(jnp.stack(levels), axis=0), *terms)


def _objects_learnt(found: Assignment, boxes: Boxes) -> Mean:
    """Return the share of the objects that are to be learnt and have a cell."""
    cells = jax.nn.one_hot(found.box, boxes.mask.shape[1]) * found.positive[..., None]
    return reported(jnp.max(cells, axis=1), boxes.mask & ~boxes.ignored)
