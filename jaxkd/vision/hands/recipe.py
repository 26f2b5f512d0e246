"""Base recipe for the joints of hands: L1 distances in the image and in space."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.data.images.augmentation import Augmentation, ImageAugmentation
from jaxkd.data.images.hand_source import HandSource
from jaxkd.losses.reduce import reported
from jaxkd.records import ImageBatch, LossOutput, Mean, Variables
from jaxkd.records.hand_views import HandView
from jaxkd.records.hands import JOINTS
from jaxkd.training.recipe import Curve
from jaxkd.typing import Key
from jaxkd.vision.hands.prediction import HandPrediction
from jaxkd.vision.recipe import NetworkRecipe

HandBatch = ImageBatch[HandView]


@dataclasses.dataclass(frozen=True, kw_only=True)
class HandRecipe(NetworkRecipe):
    """Recipe that trains a network to find the joints of one hand in a crop.

    The loss of an image is `pixel_weight` times the mean absolute error of the joints' pixels, in sides of the image,
    plus `point_weight` times that of their positions relative to the wrist, in metres, plus `depth_weight` times that
    of the logarithm of the wrist's depth, where the network estimates it and it is known.  Images without labels cost
    nothing, and the mean is over the others.
    """

    data: HandSource
    """Images to learn from."""
    augmentation: ImageAugmentation | None = None
    """Random changes of the training images and of their `HandView`s; None: none.  `Augmentation` is refused: it moves
    masks with the images, and no joints."""
    pixel_weight: float = 1.0
    """Weight of the distance in the image, in sides of it."""
    point_weight: float = 10.0
    """Weight of the distance in space, in metres."""
    depth_weight: float = 1.0
    """Weight of the distance of logarithms of the wrist's depth."""

    def validate(self) -> None:
        for name in ("pixel_weight", "point_weight", "depth_weight"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}.")
        if isinstance(self.augmentation, Augmentation):
            raise ValueError(
                "augmentation must move the joints with the image, got Augmentation, which moves masks. Set it to None."
            )
        super().validate()

    def require_outputs(self, outputs: HandPrediction) -> None:
        if not isinstance(outputs, HandPrediction) or outputs.points.shape[-2] != len(JOINTS):
            raise ValueError(
                f"network must return a HandPrediction of {len(JOINTS)} joints, got {type(outputs).__name__}. Use "
                "HandRegressor."
            )

    def curves(self) -> tuple[Curve, ...]:
        return (
            Curve(metric="point_error", title="Error of joints, relative to the wrist", unit="mm"),
            Curve(metric="pixel_error", title="Error of joints in the image", unit="pixels"),
        )

    def counts(self, batch: HandBatch) -> dict[str, Array]:
        known = jnp.sum(batch.targets.known, dtype=jnp.float32)
        return super().counts(batch) | {"labelled": known}

    def loss(self, variables: Variables, batch: HandBatch, counts: dict[str, Array], key: Key) -> LossOutput:
        found, state = self.outputs(variables, batch, key)
        label, metrics = self.label_loss(found, batch.targets)
        return LossOutput(loss=jnp.sum(label) / jnp.maximum(counts["labelled"], 1), state=state, metrics=metrics)

    def label_loss(self, found: HandPrediction, labels: HandView) -> tuple[Float[Array, " b"], dict[str, Mean]]:
        """Return the loss of each image, 0 for one without labels, and the metrics of its terms."""
        known = labels.known
        side = self.data.size[0]
        in_image = jnp.mean(jnp.abs(found.pixels - labels.pixels), axis=(1, 2)) / side
        in_space = jnp.mean(jnp.abs(found.points - labels.points), axis=(1, 2))
        total = self.pixel_weight * in_image + self.point_weight * in_space
        if found.root_depth is not None:
            deep = labels.root_depth > 0  # NaN is not
            ratio = found.root_depth / jnp.where(deep, labels.root_depth, 1.0)
            total += self.depth_weight * jnp.where(deep, jnp.abs(jnp.log(ratio)), 0.0)
        return jnp.where(known, total, 0.0), {
            "point_error": reported(1e3 * _distance(found.points - labels.points), known),
            "pixel_error": reported(_distance(found.pixels - labels.pixels), known),
        }


def _distance(difference: Float[Array, "b j k"]) -> Float[Array, " b"]:
    return jax.lax.stop_gradient(jnp.mean(jnp.sqrt(jnp.sum(difference * difference, axis=-1)), axis=-1))
