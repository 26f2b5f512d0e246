"""Trees in aerial photographs: learnt at one site, found at two others, with and without a teacher.

Source    CoreKD of "Rethinking Early-Fusion Strategies for Improved Multispectral Object Detection" (arXiv 2405.16038),
          between detectors of one modality; deepforest's photographs (MIT) with hand-drawn boxes.
Data      `AerialTrees`: overlapping tiles of one site, 96 x 128, to train on; other light, ground and species to test.
Networks  A ResNet of 18 layers and width 8, the teacher's of 34 layers and width 16; three levels of 64 channels.
Training  Steps, batches, augmentation and AdamW are the same for all.
Measure   COCO's average precision of the tiles of the other sites, and of held-out tiles of the first.
Result    docs/detection.md.

    python -m jaxkd.train --config configs/trees.py
"""

from typing import Any, Literal

from jaxkd.data.images.detection import AerialTrees
from jaxkd.evals.headline import AVERAGE_PRECISION_50
from jaxkd.evals.vision import DetectionScores
from jaxkd.recipes.core_kd import CoreKD
from jaxkd.recipes.detection import Detection
from jaxkd.sharding import MeshShape
from jaxkd.study import Study
from jaxkd.training import Optimizer, Recipe, Train
from jaxkd.vision import TrainedNetwork
from jaxkd.vision.detection import EarlyFusion
from jaxkd.vision.detection.modules.resnet import Depth

HOME = "home"
"""Label of the results at the site that was learnt."""


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study, whole or in miniature."""
    full = size == "full"
    data = AerialTrees()
    common: dict[str, Any] = {"data": data, "rows": 8, "anchor_scale": 4.0}

    def detector(depth: Depth, width: int) -> EarlyFusion:
        return EarlyFusion(
            classes=len(data.classes),
            depth=depth,
            levels=3,
            stem="visible",
            width=width,
            pyramid_width=64 if full else 8,
            stacked=2 if full else 1,
            groups=8 if full else 2,
        )

    def train(name: str, recipe: Recipe) -> Train:
        return Train(
            name=name,
            label=name,
            recipe=recipe,
            steps=900 if full else 2,
            optimizer=Optimizer(learning_rate=2e-3, warmup_steps=60 if full else 1, weight_decay=1e-2),
            mesh=MeshShape(data=1),
            log_every=15 if full else 1,
            evaluate_every=300 if full else 1,
            keep_best="ap50",
            better="higher",
            validation=(DetectionScores(data=data, split="validation"),),
            evaluators=(DetectionScores(data=data), DetectionScores(data=data, split="validation", label=HOME)),
        )

    teacher, student = (detector(34, 16), detector(18, 8)) if full else (detector(18, 8), detector(18, 4))
    source = TrainedNetwork(network=teacher, path="stage:teacher")
    return Study(
        name="trees",
        title="Trees of another forest",
        description=(
            "Detectors learn trees from photographs of one site, and look for them at two others: a student alone, and "
            "beside it the same student with a larger teacher."
        ),
        headline=AVERAGE_PRECISION_50,
        stages=(
            train("teacher", Detection(network=teacher, **common)),
            train("alone", Detection(network=student, **common)),
            train("taught", CoreKD(network=student, teacher=source, **common)),
        ),
        seeds=(0, 1, 2) if full else (0,),
        comparisons=(("taught", "alone"), ("taught", "teacher")),
    )
