"""Segmentation: a network learns masks, by Dice loss and cross entropy."""

import dataclasses

from jaxtyping import Array

from jaxkd.records import LossOutput, MaskBatch, Variables
from jaxkd.typing import Key
from jaxkd.vision.segmentation.recipe import SegmentationRecipe, mean_label_loss


@dataclasses.dataclass(frozen=True, kw_only=True)
class Segmentation(SegmentationRecipe):
    """loss = mean over images of dice_weight * Dice(y, p) + bce_weight * BCE(y, p).

    y is the mask, p the sigmoid of the logits; the binary cross entropy is the mean over pixels.  Pixels of the value
    `jaxkd.records.UNLABELLED` cost nothing, and the mean is over images that have others.  Auxiliary heads add the same
    times their weights.

    Source: VFFM-UNet (arXiv 2504.03108) with weights .6 and .4, checked against 11penguins/VFFM-UNet@dcfb562; deep
    supervision as in EGE-UNet (arXiv 2307.08473), JCruan519/EGE-UNet@f52ba30.  Deviation: the released cross entropy is
    taken over one class, where value and gradient are 0; `bce_weight=0` reproduces it.
    """

    def loss(self, variables: Variables, batch: MaskBatch, counts: dict[str, Array], key: Key) -> LossOutput:
        maps, state = self.outputs(variables, batch, key)
        label, metrics = self.label_loss(maps, batch)
        return LossOutput(loss=mean_label_loss(label, counts), state=state, metrics=metrics)
