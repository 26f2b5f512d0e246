"""Detection in drawn pairs of visible and thermal images, by one branch and by two, with and without a teacher.

Source    "Rethinking Early-Fusion Strategies for Improved Multispectral Object Detection" (arXiv 2405.16038).
Data      `ThermalScenes`: drawn figures with the sizes, places and offsets of annotated frames; 800 images to train on,
          400 to test, 96 x 128, by day, by night, in heat, and where both modalities are weak.
Networks  ResNets of 18 layers, the teacher's of 34, of widths 16 to 128; three levels of 64 channels; towers of two
          convolutions, the teacher's of three.  One branch that reads both images (`plain`), with ShaPE as released
          (`shape_released`) and without the norm that saturates it (`shape`), with weak supervision (`weak`), and with
          CoreKD besides (`core`); CoreKD alone (`plain_core`); either image alone; and the teacher, of two branches
          that share their weights.
Training  900 steps; 1,500 for the teacher, and for `plain_long` and `plain_core_long`, which have the steps of the
          teacher.  Batches, augmentation and AdamW are the same for all.
Measure   COCO's average precision of the test images, by condition; of the teacher, `plain_long` and `plain_core_long`
          also where the visible image is moved by 0, 4, 11 and 20 pixels of the annotated frames.
Result    docs/detection.md.

    python -m jaxkd.train --config configs/rgbt.py
"""

import dataclasses
from typing import Any, Literal

from jaxkd.data.images.scenes.source import ThermalScenes
from jaxkd.evals.headline import AVERAGE_PRECISION_50
from jaxkd.evals.vision import DetectionScores
from jaxkd.recipes.core_kd import CoreKD
from jaxkd.recipes.detection import Detection
from jaxkd.sharding import MeshShape
from jaxkd.study import Study
from jaxkd.training import Optimizer, Recipe, Train
from jaxkd.vision import TrainedNetwork
from jaxkd.vision.detection import EarlyFusion, MediumFusion

OFFSETS = (0.0, 4.0, 11.0, 20.0)
"""Pixels of the annotated frames by which the visible image is moved."""

WIDTHS: dict[str, Any] = {"width": 16, "pyramid_width": 64, "stacked": 2, "groups": 8}
TEACHER_WIDTHS: dict[str, Any] = WIDTHS | {"stacked": 3}
SMALLEST: dict[str, Any] = {"width": 4, "pyramid_width": 8, "stacked": 1, "groups": 2}


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study, whole or in miniature."""
    full = size == "full"
    data = ThermalScenes() if full else ThermalScenes(height=48, width=64, train=8, validation=4, test=8)
    widths = WIDTHS if full else SMALLEST
    teacher = (
        MediumFusion(classes=len(data.classes), depth=34, levels=3, **TEACHER_WIDTHS)
        if full
        else MediumFusion(classes=len(data.classes), depth=18, levels=3, **SMALLEST)
    )
    plain = EarlyFusion(classes=len(data.classes), depth=18, levels=3, stem="plain", **widths)
    shape = dataclasses.replace(plain, stem="shape", edge_norm="none")
    weak = dataclasses.replace(shape, weak_branch=True)
    common: dict[str, Any] = {"data": data, "rows": 8, "anchor_scale": 3.0}
    moved = [
        DetectionScores(data=dataclasses.replace(data, offset=offset), label=f"offset_{offset:g}") for offset in OFFSETS
    ]

    def train(name: str, recipe: Recipe, *, long: bool = False) -> Train:
        return Train(
            name=name,
            label=name,
            recipe=recipe,
            steps=(1500 if long else 900) if full else 2,
            optimizer=Optimizer(learning_rate=2e-3, warmup_steps=60 if full else 1, weight_decay=1e-2),
            mesh=MeshShape(data=1),
            log_every=15 if full else 1,
            evaluate_every=500 if full else 1,
            keep_best="ap50",
            better="higher",
            validation=(DetectionScores(data=data, split="validation"),),
            evaluators=(DetectionScores(data=data), *(moved if long else ())),
        )

    def alone(name: str, network: EarlyFusion, *, long: bool = False) -> Train:
        rate = 1.0 if network.weak_branch else 0.0
        return train(name, Detection(network=network, weak_rate=rate, **common), long=long)

    def taught(name: str, network: EarlyFusion, *, long: bool = False) -> Train:
        rate = 1.0 if network.weak_branch else 0.0
        source = TrainedNetwork(network=teacher, path="stage:teacher")
        return train(name, CoreKD(network=network, teacher=source, weak_rate=rate, **common), long=long)

    return Study(
        name="rgbt",
        title="One branch for two modalities",
        description=(
            "Drawn pairs of visible and thermal images: a detector of one branch, with the parts of its paper added "
            "one by one, beside its teacher of two branches and beside either image alone."
        ),
        headline=AVERAGE_PRECISION_50,
        stages=(
            train("teacher", Detection(network=teacher, **common), long=True),
            alone("plain_long", plain, long=True),
            taught("plain_core_long", plain, long=True),
            alone("plain", plain),
            taught("plain_core", plain),
            alone("shape_released", dataclasses.replace(plain, stem="shape")),
            alone("shape", shape),
            alone("weak", weak),
            taught("core", weak),
            alone("visible", dataclasses.replace(plain, stem="visible")),
            alone("thermal", dataclasses.replace(plain, stem="thermal")),
        ),
        seeds=(0, 1, 2) if full else (0,),
        comparisons=(
            ("plain_core", "plain"),
            ("plain_core_long", "plain_long"),
            ("shape_released", "plain"),
            ("shape", "plain"),
            ("weak", "shape"),
            ("core", "weak"),
            ("core", "plain"),
            ("core", "teacher"),
            ("plain_core", "teacher"),
            ("plain_core_long", "teacher"),
        ),
    )
