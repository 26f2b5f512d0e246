"""`python -m jaxkd.segment`: a network learns masks from a folder of images, without a config file."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from jaxkd.data.images import ImageSource
from jaxkd.data.images.named import named_images
from jaxkd.evals.headline import DICE
from jaxkd.evals.vision import SegmentationScores
from jaxkd.recipes.segmentation import Segmentation
from jaxkd.recipes.segmentation_kd import SegmentationKD
from jaxkd.study import Study
from jaxkd.study.described.config_file import Constant, config_file
from jaxkd.study.described.run import StudyOptions, run_described
from jaxkd.training import Optimizer, Recipe, Train
from jaxkd.vision.network import ImageNetwork
from jaxkd.vision.segmentation import EGEUNet, MISSFormer, UNet, VFFMUNet
from jaxkd.vision.trained_network import TrainedNetwork, stored_network

PROGRAM = "python -m jaxkd.segment"

SMOKE_STEPS = 4
"""Optimizer steps of the study in miniature."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command(StudyOptions):
    """Train a network on images with masks of one foreground class, and report its Dice coefficient on a test split.

    With --teacher, a second network learns from the teachers' probabilities as well, beside the one without.  The
    config file that says the same is printed: continue with it and `python -m jaxkd.train --config FILE` where these
    options do not suffice.  The same command again resumes.  Exit status: 0 if all is done, 1 for a mistake, 75 if the
    run was stopped by SIGTERM or Ctrl-C and saved.
    """

    data: str
    """Folder with train/images, train/masks, val/images, val/masks (and test/...), or images and masks; or one of the
    packaged lesions, grey-matter, white-matter, nuclei."""
    network: Literal["vffm-unet", "unet", "ege-unet", "missformer"] = "vffm-unet"
    """Architecture."""
    widths: tuple[int, ...] | None = None
    """Channels of the stages of vffm-unet, unet or ege-unet; their own by default."""
    teacher: tuple[str, ...] = ()
    """Folders of finished runs, or of their exports, that a second network learns from."""
    size: int | None = None
    """Height and width of the images; by default 256, of packaged data their own."""
    group_pattern: str | None = None
    """Regular expression whose first group names the patient, all of whose images are in one split."""
    mask_threshold: int | None = None
    """Grey level from which a pixel of a JPEG or antialiased mask is foreground; such masks are refused by default."""
    steps: int = 2000
    """Optimizer steps of each network."""
    rows: int = 8
    """Images of a batch."""
    learning_rate: float = 1e-3
    """Peak learning rate."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Describe the study, print its config file, run it and print its table."""
    run_described(Command, _described, program=PROGRAM, arguments=arguments)


def _described(command: Command, typed: str) -> tuple[Study, str]:
    made = study(command)
    return made, _config_text(command, made, typed)


def study(command: Command) -> Study:
    """Return the study that a command describes.

    Raises:
        ValueError: widths of a network that has none, or a teacher's folder without a network.
    """
    source, network = images(command), architecture(command)
    shared = {"data": source, "network": network, "rows": command.rows}
    recipes: dict[str, Recipe] = {"supervised": Segmentation(**shared)}
    if command.teacher:
        teachers = tuple(TrainedNetwork(network=stored_network(Path(path)), path=path) for path in command.teacher)
        recipes["distilled"] = SegmentationKD(**shared, teachers=teachers)
    name = re.sub(r"\W+", "_", f"{command.network}_{Path(command.data).name}").strip("_").lower()
    return Study(
        name=name,
        title=f"{command.network} on {Path(command.data).name}",
        description=(
            "Both networks see the same images; one learns from the masks alone, the other also from the teachers."
            if command.teacher
            else "A network learns from images and masks; the checkpoint with the best Dice on the validation split is "
            "kept."
        ),
        stages=tuple(_train(label, recipe, command) for label, recipe in recipes.items()),
        seeds=command.seeds,
        comparisons=(("distilled", "supervised"),) if command.teacher else (),
        headline=DICE,
    )


def images(command: Command) -> ImageSource:
    """Return the images that a command names."""
    return named_images(
        command.data,
        side=command.size,
        group_pattern=command.group_pattern,
        mask_threshold=command.mask_threshold,
    )


def architecture(command: Command) -> ImageNetwork:
    """Return the network that a command names.

    Raises:
        ValueError: widths of a network that has none.
    """
    if command.network == "missformer":
        if command.widths is not None:
            raise ValueError(f"--widths must be left out for missformer, got {command.widths}.")
        return MISSFormer(classes=1)
    kind = {"vffm-unet": VFFMUNet, "unet": UNet, "ege-unet": EGEUNet}[command.network]
    return kind() if command.widths is None else kind(widths=command.widths)


def _train(label: str, recipe: Recipe, command: Command) -> Train:
    cadence = max(command.steps // 10, 1)
    source = images(command)
    return Train(
        name=label,
        label=label,
        recipe=recipe,
        steps=command.steps,
        optimizer=Optimizer(learning_rate=command.learning_rate, warmup_steps=command.steps // 20, weight_decay=1e-2),
        log_every=max(command.steps // 200, 1),
        evaluate_every=cadence,
        save_every=cadence,
        keep_best="dice",
        better="higher",
        validation=(SegmentationScores(data=source, split="validation", rows=command.rows),),
        evaluators=(SegmentationScores(data=source, rows=command.rows),),
    )


def _config_text(command: Command, made: Study, typed: str) -> str:
    return config_file(
        made,
        docstring=f"{made.title}.",
        command=typed,
        constants=[Constant(name="DATA", value=images(command)), Constant(name="NETWORK", value=architecture(command))],
        assignments={
            "steps": f'{command.steps} if size == "full" else {SMOKE_STEPS}',
            "cadence": "max(steps // 10, 1)",
        },
        expressions={
            "steps": "steps",
            "warmup_steps": "steps // 20",
            "evaluate_every": "cadence",
            "save_every": "cadence",
        },
    )


if __name__ == "__main__":
    main()
