"""Segmentation of drawn lesions, in three levels of severity, by VFFM-UNet and plain networks, and by a small student.

Source    VFFM-UNet (arXiv 2504.03108); the question of severity is the paper's.  The paper distils nothing.
Data      `Lesions`: drawn outlines, textures of photographs; 600 images to train on, 300 to test, 128 x 128.  ISIC and
          PH2, on which the paper reports, are not used.
Networks  VFFM-UNet as released, 351,052 parameters; without either of its fusions; with the attention of its paper's
          abstract; a plain U-Net of three times the parameters, and one of fewer.  A U-Net of 29,005 parameters learns
          from masks alone, and from masks and the probabilities of the large U-Net.
Training  Batches, augmentation and AdamW are the same for all.  Nothing was chosen on the test split.
Measure   Mean Dice of 300 test images, and of the severest hundred.

    python -m jaxkd.train --config configs/lesions.py
"""

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
    steps, cadence = (400, 100) if full else (4, 2)
    test = SegmentationScores(data=data)

    def train(name: str, recipe: Recipe) -> Train:
        return Train(
            name=name,
            label=name,
            recipe=recipe,
            steps=steps,
            optimizer=Optimizer(learning_rate=5e-3, warmup_steps=steps // 20, weight_decay=1e-2),
            mesh=MeshShape(data=1),
            log_every=max(steps // 40, 1),
            evaluate_every=cadence,
            keep_best="dice",
            better="higher",
            validation=(SegmentationScores(data=data, split="validation"),),
            evaluators=(test, SegmentationScores(data=data, stratum="severe", label="severe")),
        )

    def supervised(name: str, network: ImageNetwork) -> Train:
        return train(name, Segmentation(data=data, network=network))

    return Study(
        name="lesions",
        title="Drawn lesions, from mild to severe",
        description=(
            "A light network with attention beside plain ones, with its parts left out; and a student of 29,005 "
            "parameters with and without a teacher."
        ),
        headline=DICE,
        stages=(
            supervised("unet", TEACHER),
            supervised("vffm_unet", VFFMUNet()),
            supervised("student", STUDENT),
            train(
                "student_distilled",
                SegmentationKD(
                    data=data,
                    network=STUDENT,
                    teachers=(TrainedNetwork(network=TEACHER, path="stage:unet"),),
                ),
            ),
            supervised("small_unet", CONTROL),
            supervised("no_granularity_fusion", VFFMUNet(granularity_fusion=False)),
            supervised("no_channel_fusion", VFFMUNet(channel_fusion=False)),
            supervised("intended_attention", VFFMUNet(variant="intended")),
        ),
        seeds=(0, 1, 2) if full else (0,),
        comparisons=(("vffm_unet", "unet"), ("student_distilled", "student"), ("vffm_unet", "small_unet")),
    )
