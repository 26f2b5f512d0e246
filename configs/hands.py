"""One hand from one view, by a student that learns what a published network finds in four.

Source    HANDS23 (arXiv 2403.16428), whose entries fuse the views of a headset at test time.
Data      `HandScenes`: rendered hands in recorded poses before headsets of four fisheye cameras; 3,000 frames of four
          images to train on, 500 to test, of other recordings, headsets and photographs.
Teacher   MediaPipe's network for hands, 2,715,680 parameters, as published, in crops of 224 x 224; it reads every view
          once.  Also on plain crops, without the camera that is turned towards the hand.
Students  `HandRegressor`, 239,849 parameters, in crops of 96 x 96: from the views' predictions, triangulated (`fused`),
          and from each view's own (`own_view`), never from true labels; and from true labels (`truth`).
Training  Steps, batches and AdamW are the same for all.
Measure   Mean error of the joints relative to the wrist, in the crop's camera, in mm, over all test images; near the
          centre of the camera's image and beyond a third of its width from it.

    python -m jaxkd.train --config configs/hands.py
"""

import dataclasses
from typing import Literal

from jaxkd.data.images.hand_scenes.drawing import FINEST
from jaxkd.data.images.hand_scenes.source import HandScenes
from jaxkd.evals.headline import HAND_ERROR
from jaxkd.evals.vision import HandScores
from jaxkd.recipes.hand_regression import HandRegression
from jaxkd.recipes.multi_view_kd import MultiViewKD
from jaxkd.sharding import MeshShape
from jaxkd.study import Evaluate, Study
from jaxkd.study.cache_hands_stage import CacheHands
from jaxkd.training import Optimizer, Recipe, Train
from jaxkd.typing import Split
from jaxkd.vision.hands import HandRegressor, MediaPipeHands

TEACHER = MediaPipeHands()


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study, whole or in miniature."""
    full = size == "full"
    data = HandScenes() if full else HandScenes(side=32, train=4, validation=2, test=2)
    fine = dataclasses.replace(data, side=FINEST)
    plain = dataclasses.replace(fine, crop="plain")
    unlabelled = dataclasses.replace(data, labelled=0)
    student = HandRegressor(root_depth=False) if full else HandRegressor(size=32, widths=(8, 8), blocks=(0, 0))
    steps = 3600 if full else 2

    def train(name: str, recipe: Recipe) -> Train:
        return Train(
            name=name,
            label=name,
            recipe=recipe,
            steps=steps,
            optimizer=Optimizer(learning_rate=2e-3, warmup_steps=60 if full else 1, weight_decay=1e-2),
            mesh=MeshShape(data=1),
            log_every=20 if full else 1,
            evaluate_every=1200 if full else 1,
            evaluators=(HandScores(data=data),),
        )

    def cache(name: str, source: HandScenes, split: Split) -> CacheHands:
        return CacheHands(name=name, model=TEACHER, data=source, split=split)

    def evaluate(name: str, source: HandScenes) -> Evaluate:
        return Evaluate(name=name, label=name, model=TEACHER, evaluators=(HandScores(data=source),))

    def taught(fusion: Literal["none", "triangulated"]) -> MultiViewKD:
        return MultiViewKD(data=unlabelled, network=student, rows=32, labels="stage:labels", fusion=fusion)

    return Study(
        name="hands",
        title="One view that learns from four",
        description=(
            "Rendered hands before headsets of four cameras: a published network reads each view alone, its joints are "
            "fused in the world, and a student of a tenth of its size learns to find them in one view."
        ),
        headline=HAND_ERROR,
        stages=(
            cache("labels", fine, "train"),
            cache("validation", fine, "validation"),
            cache("test", fine, "test"),
            evaluate("teacher", fine),
            evaluate("teacher_plain", plain),
            train("fused", taught("triangulated")),
            train("own_view", taught("none")),
            train("truth", HandRegression(data=data, network=student, rows=32)),
        ),
        seeds=(0, 1, 2) if full else (0,),
        comparisons=(("fused", "teacher"), ("fused", "own_view"), ("fused", "truth"), ("teacher", "teacher_plain")),
    )
