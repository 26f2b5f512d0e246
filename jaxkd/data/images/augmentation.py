"""Random changes of training images with their targets: flips and rotations of images with masks."""

import abc
import dataclasses
import math
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageAugmentation(abc.ABC):
    """Random change of an image with its target: a frozen description, applied to one row at a time."""

    @abc.abstractmethod
    def __call__(
        self, image: UInt8[np.ndarray, "h w c"], target: Any, rng: np.random.Generator
    ) -> tuple[UInt8[np.ndarray, "h w c"], Any]:
        """Return image and target, changed alike; those given stay as they are.

        Args:
            image: the image.
            target: its target, of the kind that the augmentation is for.
            rng: source of random numbers, the only one.

        Raises:
            ValueError: a target of another kind, or one that does not belong to the image.
        """


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation(ImageAugmentation):
    """Flips, then a rotation about the centre by an angle drawn for each row; image and mask move together.

    The image is interpolated bilinearly and rounded down; the mask takes the nearest pixel, so that it stays one of 0
    and 1.  Corners are filled by reflection at the edges, in both.  Filling them with black would show the angle to the
    network, and repeating the edge would draw streaks; a reflected piece of the object is foreground in the reflected
    mask too.

    Source: the flips and the rotation, each with probability 0.5, of VFFM-UNet's data pipeline; reference code
        11penguins/VFFM-UNet@dcfb562.  Deviation: the reference draws one angle when the pipeline is made, which then
        rotates half of all images by it, and fills the corners with black; it augments its validation images too.

    Raises:
        ValueError: a probability outside [0, 1], or degrees that are not a finite interval.

    Example:
        >>> always = Augmentation(horizontal_flip=1.0, vertical_flip=0.0, rotation=0.0)
        >>> image = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
        >>> mask = np.array([[0, 1]], np.uint8)
        >>> image, mask = always(image, mask, np.random.default_rng(0))
        >>> image.tolist(), mask.tolist()
        ([[[3, 4, 5], [0, 1, 2]]], [[1, 0]])
    """

    horizontal_flip: float = 0.5
    """Probability that left and right are exchanged."""
    vertical_flip: float = 0.5
    """Probability that top and bottom are exchanged."""
    rotation: float = 0.5
    """Probability of a rotation."""
    degrees: tuple[float, float] = (0.0, 360.0)
    """Interval of the angle, counter-clockwise in degrees, in which it is distributed uniformly."""

    def __post_init__(self) -> None:
        for name in ("horizontal_flip", "vertical_flip", "rotation"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be a probability in [0, 1], got {getattr(self, name)}.")
        if not (all(map(math.isfinite, self.degrees)) and self.degrees[0] <= self.degrees[1]):
            raise ValueError(f"degrees must be two finite angles, the smaller one first, got {self.degrees}.")

    def __call__(
        self, image: UInt8[np.ndarray, "h w 3"], target: UInt8[np.ndarray, "h w"], rng: np.random.Generator
    ) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w"]]:
        """Return image and mask, changed alike.

        Args:
            image: the image.
            target: its mask.
            rng: source of the flips and of the angle; four numbers are drawn, whatever the probabilities.

        Raises:
            ValueError: a target that is no mask of the image's size.
        """
        if target.shape != image.shape[:2]:
            raise ValueError(
                f"target must be a mask of the image's size {image.shape[:2]}, got the shape {target.shape}. Targets "
                "of other tasks need an augmentation of their own."
            )
        horizontal, vertical, rotated = rng.random(3) < (self.horizontal_flip, self.vertical_flip, self.rotation)
        angle = rng.uniform(*self.degrees)
        rows, columns = slice(None, None, -1 if vertical else 1), slice(None, None, -1 if horizontal else 1)
        image, target = image[rows, columns], target[rows, columns]
        if rotated:
            image = rotate(image, angle, Image.Resampling.BILINEAR)
            target = rotate(target, angle, Image.Resampling.NEAREST)
        return np.ascontiguousarray(image), np.ascontiguousarray(target)


def rotate(pixels: UInt8[np.ndarray, "h w *channels"], degrees: float, resample: Image.Resampling) -> np.ndarray:
    """Rotate counter-clockwise about the centre, in the same size, with corners filled by reflection at the edges.

    Args:
        pixels: grey levels, or colours.
        degrees: angle in degrees.
        resample: interpolation.

    Example:
        >>> rotate(np.array([[1, 2], [3, 4]], np.uint8), 90.0, Image.Resampling.NEAREST).tolist()
        [[2, 4], [1, 3]]
    """
    height, width = pixels.shape[:2]
    # Half the diagonal holds every rotation; one more pixel is for the interpolation.
    half = math.hypot(height, width) / 2
    top, left = math.ceil(half - height / 2) + 1, math.ceil(half - width / 2) + 1
    margins = [(top, top), (left, left)] + [(0, 0)] * (pixels.ndim - 2)
    padded = Image.fromarray(np.pad(pixels, margins, mode="symmetric"))
    return np.asarray(padded.rotate(degrees, resample))[top : top + height, left : left + width]
