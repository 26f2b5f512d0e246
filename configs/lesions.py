"""Segmentation of drawn lesions, in three levels of severity, by VFFM-UNet and plain networks, and by a small student.

Source    VFFM-UNet (arXiv 2504.03108); the question of severity is the paper's.  The paper distils nothing.
Data      `Lesions`: drawn outlines, textures of photographs; 600 images to train on, 300 to test, 128 x 128.  ISIC and
          PH2, on which the paper reports, are not used.
Networks  VFFM-UNet as released, 351,052 parameters; without either of its fusions; with the attention of its paper's
          abstract; a plain U-Net of three times the parameters, and one of as many.
Student   A U-Net of 29,005 parameters learns from masks alone, and from masks and the probabilities of the large U-Net,
          which has seen all masks: from all 600 images, from 60 of them, and from 600 of which 60 or 20 have a mask.
Training  300 steps of 8 images; steps, batches, augmentation and AdamW are the same for all.  The rates, 2e-3 and for
          the student 5e-3, come from a few trials on the validation split.
Measure   Mean Dice of 300 test images, and of the severest hundred.
Result    docs/vision.md.

    python -m jaxkd.train --config configs/lesions.py
"""

import dataclasses
from typing import Literal

from jaxkd.data.images import Lesions
from jaxkd.evals.headline import DICE
from jaxkd.evals.vision import SegmentationScores
from jaxkd.recipes.segmentation import Segmentation
from jaxkd.recipes.segmentation_kd import SegmentationKD
from jaxkd.sharding import MeshShape
from jaxkd.study import Study
from jaxkd.training import Optimizer, Recipe, Train
from jaxkd.vision import ImageNetwork, TrainedNetwork
from jaxkd.vision.segmentation import UNet, VFFMUNet

TEACHER = UNet()
STUDENT = UNet(widths=(8, 12, 16, 22))
CONTROL = UNet(widths=(8, 16, 32, 56, 96))


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study, whole or in miniature."""
    full = size == "full"
    data = Lesions() if full else Lesions(side=32, train=8, validation=3, test=6)
    few = dataclasses.replace(data, train=60 if full else 3)
    few_masks = dataclasses.replace(data, labelled=few.train)
    fewest = dataclasses.replace(data, train=20 if full else 2)
    fewest_masks = dataclasses.replace(data, labelled=fewest.train)
    steps, cadence = (300, 100) if full else (4, 2)

    def train(name: str, recipe: Recipe, rate: float) -> Train:
        return Train(
            name=name,
            label=name,
            recipe=recipe,
            steps=steps,
            optimizer=Optimizer(learning_rate=rate, warmup_steps=steps // 15, weight_decay=1e-2),
            mesh=MeshShape(data=1),
            log_every=max(steps // 60, 1),
            evaluate_every=cadence,
            keep_best="dice",
            better="higher",
            validation=(SegmentationScores(data=data, split="validation"),),
            evaluators=(SegmentationScores(data=data), SegmentationScores(data=data, stratum="severe", label="severe")),
        )

    def supervised(name: str, network: ImageNetwork) -> Train:
        return train(name, Segmentation(data=data, network=network), 2e-3)

    def student(name: str, images: Lesions) -> Train:
        return train(name, Segmentation(data=images, network=STUDENT), 5e-3)

    def distilled(name: str, images: Lesions) -> Train:
        teachers = (TrainedNetwork(network=TEACHER, path="stage:unet"),)
        return train(name, SegmentationKD(data=images, network=STUDENT, teachers=teachers, temperature=1.0), 5e-3)

    return Study(
        name="lesions",
        title="Drawn lesions, from mild to severe",
        description=(
            "A light network with attention beside plain ones, and with its parts left out; and a student of 29,005 "
            "parameters with and without a teacher, with 600 masks, 60 and 20."
        ),
        headline=DICE,
        stages=(
            supervised("unet", TEACHER),
            student("student_60", few),
            distilled("student_60_distilled", few),
            distilled("student_60_of_600_distilled", few_masks),
            student("student_20", fewest),
            distilled("student_20_of_600_distilled", fewest_masks),
            supervised("vffm_unet", VFFMUNet()),
            student("student_600", data),
            distilled("student_600_distilled", data),
            supervised("small_unet", CONTROL),
            supervised("no_granularity_fusion", VFFMUNet(granularity_fusion=False)),
            supervised("no_channel_fusion", VFFMUNet(channel_fusion=False)),
            supervised("intended_attention", VFFMUNet(variant="intended")),
        ),
        seeds=(0, 1, 2) if full else (0,),
        comparisons=(
            ("vffm_unet", "unet"),
            ("vffm_unet", "small_unet"),
            ("student_60_distilled", "student_60"),
            ("student_60_of_600_distilled", "student_60"),
            ("student_20_of_600_distilled", "student_20"),
            ("student_600_distilled", "student_600"),
        ),
    )
