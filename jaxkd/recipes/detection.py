"""Detection: a network learns boxes and their classes."""

import dataclasses

import jax
from jaxtyping import Array

from jaxkd.records import DetectionBatch, LossOutput, Variables
from jaxkd.runtime.trained_params import STUDENT
from jaxkd.typing import Key
from jaxkd.vision.detection.recipe import DetectionRecipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class Detection(DetectionRecipe):
    """loss = QFL + 2 * (1 - GIoU) + 0.25 * DFL + weak_rate * (masks + classes), as `DetectionRecipe` states them.

    Source: Generalized Focal Loss (arXiv 2006.04388), equation 8, with the weights of open-mmlab/mmdetection@0009b6e;
    weak supervision of arXiv 2405.16038, from XueZ-phd/Efficient-RGB-T-Early-Fusion-Detection@8b8a6fa.  Deviation: the
    classes in an image stand for the scores of CLIP.
    """

    def loss(self, variables: Variables, batch: DetectionBatch, counts: dict[str, Array], key: Key) -> LossOutput:
        network_key, score_key = jax.random.split(key)
        maps, state = self.outputs(variables, batch, network_key)
        loss, metrics = self.label_loss(variables.params[STUDENT], maps, batch, counts, score_key)
        return LossOutput(loss=loss, state=state, metrics=metrics)
