"""Base recipe for binary segmentation: Dice loss and cross entropy at each pixel."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, UInt8

from jaxkd.losses import bce_dice_loss, binary_cross_entropy, dice_loss
from jaxkd.losses.reduce import reported
from jaxkd.records import UNLABELLED, MaskBatch, Mean
from jaxkd.training.recipe import Curve
from jaxkd.typing import Scalar
from jaxkd.vision.recipe import NetworkRecipe
from jaxkd.vision.segmentation.maps import SegmentationMaps


@dataclasses.dataclass(frozen=True, kw_only=True)
class SegmentationRecipe(NetworkRecipe):
    """Recipe that trains a network with one class, foreground against background.

    The label loss of an image is `dice_weight` times its Dice loss plus `bce_weight` times the mean binary cross
    entropy of its pixels, and the same of each auxiliary head times its weight.  Pixels that are unlabelled cost
    nothing, and the mean is over images with any other.
    """

    dice_weight: float = 0.6
    """Weight of the Dice loss."""
    bce_weight: float = 0.4
    """Weight of the binary cross entropy; 0 is what the released VFFM-UNet was trained with, whose cross entropy over
    one class is identically 0."""
    auxiliary_weights: tuple[float, ...] = ()
    """Weights of the label losses of the network's auxiliary heads, the coarsest first; empty: they are not trained."""

    def validate(self) -> None:
        super().validate()
        for name in ("dice_weight", "bce_weight"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}.")

    def require_outputs(self, outputs: SegmentationMaps) -> None:
        if outputs.logits.shape[-1] != 1:
            raise ValueError(
                f"network must have one class, foreground against background, got {outputs.logits.shape[-1]}. Set its "
                "classes to 1."
            )
        if self.auxiliary_weights and len(self.auxiliary_weights) != len(outputs.auxiliary):
            raise ValueError(
                f"auxiliary_weights must have one weight for each auxiliary head, got {len(self.auxiliary_weights)} "
                f"for {len(outputs.auxiliary)}."
            )

    def curves(self) -> tuple[Curve, ...]:
        return (
            Curve(metric="dice_loss", title="Dice loss", unit="1 - Dice of probabilities"),
            Curve(metric="cross_entropy", title="Cross entropy", unit="nats a pixel"),
        )

    def counts(self, batch: MaskBatch) -> dict[str, Array]:
        labelled = jnp.any(batch.targets != UNLABELLED, axis=(1, 2))
        return super().counts(batch) | {"labelled": jnp.sum(labelled, dtype=jnp.float32)}

    def label_loss(self, maps: SegmentationMaps, batch: MaskBatch) -> tuple[Float[Array, " b"], dict[str, Mean]]:
        """Return the label loss of each image, 0 for one without labels, and the metrics of its terms."""
        logits, targets, mask = maps.logits[..., 0], batch.targets, batch.targets != UNLABELLED
        total = self._weighted(logits, targets, mask)
        # Without weights the auxiliary heads are not trained.
        for weight, auxiliary in zip(self.auxiliary_weights, maps.auxiliary, strict=False):
            total += weight * self._weighted(auxiliary[..., 0], targets, mask)
        pixels = jnp.sum(mask, axis=(1, 2))
        nats = jnp.sum(jnp.where(mask, binary_cross_entropy(logits, targets), 0), axis=(1, 2)) / jnp.maximum(pixels, 1)
        labelled = pixels > 0
        return total, {
            "dice_loss": reported(dice_loss(logits, targets, mask=mask), labelled),
            "cross_entropy": reported(nats, labelled),
        }

    def _weighted(
        self, logits: Float[Array, "b h w"], targets: UInt8[Array, "b h w"], mask: Bool[Array, "b h w"]
    ) -> Float[Array, " b"]:
        return bce_dice_loss(logits, targets, bce_weight=self.bce_weight, dice_weight=self.dice_weight, mask=mask)


def mean_label_loss(label: Float[Array, " b"], counts: dict[str, Array]) -> Scalar:
    """Return the sum of the label losses of images over the number of those that have labels; 0 without any."""
    return jnp.sum(label) / jnp.maximum(counts["labelled"], 1)
