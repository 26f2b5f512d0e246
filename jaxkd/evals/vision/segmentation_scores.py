"""Overlap of predicted and true masks."""

import dataclasses

import jax
import numpy as np
from jaxtyping import Array, Bool, UInt8

from jaxkd.data.images.source import ImageExample
from jaxkd.evals.vision.image_evaluator import ImageEvaluator
from jaxkd.evals.vision.pictures import evenly_chosen, outlines, thumbnail
from jaxkd.metrics import binary_segmentation_metrics
from jaxkd.records import UNLABELLED
from jaxkd.training.evaluator import Column
from jaxkd.training.results.evaluation import Evaluation
from jaxkd.training.results.picture import Overlay, Picture
from jaxkd.vision.network import NetworkModel


@dataclasses.dataclass(frozen=True, kw_only=True)
class SegmentationScores(ImageEvaluator):
    """Dice, intersection over union and confusion of masks: pixels whose probability of foreground is above 1/2."""

    label: str = "segmentation"
    """Name of the evaluation, if a model has several, such as on another stratum."""

    def columns(self) -> tuple[Column, ...]:
        if self.stratum is None:
            return (Column(metric="iou", name="IoU"),)
        return (Column(metric="dice", name=f"Dice,\n{self.stratum}"),)

    def __call__(self, model: NetworkModel) -> Evaluation:
        """Segment the images.

        Returns:
            Means over images `dice` and `iou`, with columns of these names; of the pixels of all images together
            `pooled_dice`, `pooled_iou`, `pooled_accuracy`, `pooled_sensitivity` and `pooled_specificity`; `dice` of
            each stratum, if there are several, as `dice_NAME`; and some pictures.

        Raises:
            ValueError: no images, or pixels that are unlabelled.
        """
        batches = [[example for _, example in batch] for batch in self.batches()]
        examples = [example for batch in batches for example in batch]
        for one in examples:
            if (one.target == UNLABELLED).any():
                raise ValueError(
                    f"masks must be known in {self.split}, got unlabelled pixels in {one.key!r}. Leave the image out."
                )
        found = np.concatenate(
            [
                np.asarray(_foreground(model, self.full_batch([one.image for one in batch])))[: len(batch)]
                for batch in batches
            ]
        )
        truth = np.stack([one.target for one in examples]).astype(bool)
        scores = binary_segmentation_metrics(found, truth)
        strata = dict.fromkeys(one.stratum for one in examples)
        metrics = {"dice": float(np.mean(scores.per_image.dice)), "iou": float(np.mean(scores.per_image.iou))}
        metrics |= {f"pooled_{name}": float(getattr(scores.micro, name)) for name in _POOLED}
        if len(strata) > 1:
            member = np.array([one.stratum for one in examples])
            metrics |= {f"dice_{name}": float(np.mean(scores.per_image.dice[member == name])) for name in strata}
        shown = evenly_chosen([one.stratum for one in examples])
        return Evaluation(
            metrics=metrics,
            keys=tuple(one.key for one in examples),
            per_example={"dice": tuple(scores.per_image.dice.tolist()), "iou": tuple(scores.per_image.iou.tolist())},
            pictures=tuple(_shown(examples[one], found[one], float(scores.per_image.dice[one])) for one in shown),
        )


_POOLED = ("dice", "iou", "accuracy", "sensitivity", "specificity")


@jax.jit
def _foreground(model: NetworkModel, images: UInt8[Array, "b h w 3"]) -> Bool[Array, "b h w"]:
    return model(images).logits[..., 0] > 0


def _shown(example: ImageExample, found: Bool[np.ndarray, "h w"], dice: float) -> Picture:
    height, width = example.target.shape
    return Picture(
        key=example.key,
        group=example.stratum,
        width=width,
        height=height,
        png=thumbnail(example.image),
        truth=Overlay(outlines=outlines(example.target.astype(bool))),
        found=Overlay(outlines=outlines(found)),
        note=f"Dice {dice:.2f}",
    )
