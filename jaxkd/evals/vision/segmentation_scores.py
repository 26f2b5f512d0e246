"""Overlap of predicted and true masks."""

import dataclasses
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, UInt8

from jaxkd.data.images.source import ImageExample, ImageSource
from jaxkd.evals.vision.pictures import evenly_chosen, outlines, thumbnail
from jaxkd.metrics import binary_segmentation_metrics
from jaxkd.records import UNLABELLED
from jaxkd.training.evaluator import Column, Evaluator
from jaxkd.training.results.evaluation import Evaluation
from jaxkd.training.results.picture import Overlay, Picture
from jaxkd.typing import Split
from jaxkd.vision.network import NetworkModel


@dataclasses.dataclass(frozen=True, kw_only=True)
class SegmentationScores(Evaluator):
    """Dice, intersection over union and confusion of masks: pixels whose probability of foreground is above 1/2."""

    data: ImageSource
    """Images to segment."""
    split: Split = "test"
    """Split of the images."""
    stratum: str | None = None
    """Stratum of the images, such as a level of severity; None: all."""
    rows: int = 8
    """Images per batch; it changes no result."""
    label: str = "segmentation"
    """Name of the evaluation, if a model has several, such as on another stratum."""

    @property
    def name(self) -> str:
        return self.label

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
        examples = [
            one for one in self.data.examples(self.split) if self.stratum is None or one.stratum == self.stratum
        ]
        if not examples:
            raise ValueError(
                f"data must have images in {self.split}, got none{f' of {self.stratum!r}' if self.stratum else ''} in "
                f"{type(self.data).__name__}."
            )
        for one in examples:
            if (one.target == UNLABELLED).any():
                raise ValueError(
                    f"masks must be known in {self.split}, got unlabelled pixels in {one.key!r}. Leave the image out."
                )
        found = np.concatenate(list(_masks(model, examples, self.rows)))
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


def _masks(model: NetworkModel, examples: Sequence[ImageExample], rows: int) -> Iterator[Bool[np.ndarray, "b h w"]]:
    """Yield the masks of the images, batch by batch, all batches of one shape."""
    for start in range(0, len(examples), rows):
        images = [one.image for one in examples[start : start + rows]]
        padded = np.stack(images + images[-1:] * (rows - len(images)))
        yield np.asarray(_foreground(model, jnp.asarray(padded)))[: len(images)]


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
