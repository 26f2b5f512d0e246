"""Random flips of images with their boxes, and changes of one modality alone."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import UInt8

from jaxkd.data.images.augmentation import ImageAugmentation
from jaxkd.records import Boxes

_THERMAL = 3
"""Channel of the thermal image, after red, green and blue."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoxAugmentation(ImageAugmentation):
    """A horizontal flip of image and boxes; if wanted, an offset of the thermal channel, and brightness a modality.

    The boxes stay on the visible image where the thermal one is offset: annotators mostly draw on one of the two, and
    cameras that are not aligned have the other elsewhere.  What the offset uncovers is filled by reflection at the
    edge.  Brightness multiplies the grey levels by one factor for the colours and another for thermal, since a darker
    scene is not a colder one; results are rounded, and clipped at 255.

    Raises:
        ValueError: a probability outside [0, 1], a negative offset, or a brightness outside [0, 1).

    Example:
        >>> always = BoxAugmentation(horizontal_flip=1.0)
        >>> corners, mask = np.array([[0, 0, 1, 1], [0, 0, 0, 0]], np.float32), np.array([True, False])
        >>> boxes = Boxes(corners=corners, classes=np.array([0, 0]), mask=mask, ignored=np.array([False, False]))
        >>> _, flipped = always(np.zeros((2, 3, 3), np.uint8), boxes, np.random.default_rng(0))
        >>> flipped.corners.tolist()
        [[2.0, 0.0, 3.0, 1.0], [0.0, 0.0, 0.0, 0.0]]
    """

    horizontal_flip: float = 0.5
    """Probability that left and right are exchanged."""
    modality_shift: int = 0
    """Largest offset of the thermal channel, in pixels; down and to the right it is distributed uniformly over the
    integers from minus this to this."""
    brightness: float = 0.0
    """Largest change of a modality's brightness; its factor is distributed uniformly in [1 - this, 1 + this]."""

    def __post_init__(self) -> None:
        if not 0 <= self.horizontal_flip <= 1:
            raise ValueError(f"horizontal_flip must be a probability in [0, 1], got {self.horizontal_flip}.")
        if self.modality_shift < 0:
            raise ValueError(f"modality_shift must be at least 0 pixels, got {self.modality_shift}.")
        if not 0 <= self.brightness < 1:
            raise ValueError(f"brightness must be in [0, 1), got {self.brightness}.")

    def __call__(
        self, image: UInt8[np.ndarray, "h w c"], target: Any, rng: np.random.Generator
    ) -> tuple[UInt8[np.ndarray, "h w c"], Any]:
        """Return image and boxes, changed alike; rows that are padding stay as they are.

        Args:
            image: the image; a fourth channel is thermal.
            target: its boxes, of NumPy arrays.
            rng: source of random numbers, of which five are drawn, whatever the options.

        Raises:
            ValueError: a target that is no `Boxes`, or an offset of a thermal channel that the image does not have.
        """
        if not isinstance(target, Boxes):
            raise ValueError(
                f"target must be the Boxes of an image, got {type(target).__name__}. Masks are flipped by Augmentation."
            )
        if self.modality_shift and image.shape[-1] <= _THERMAL:
            raise ValueError(
                f"modality_shift must be 0 for images without a thermal channel, got {self.modality_shift} for an "
                f"image of {image.shape[-1]} channels."
            )
        flip, down, right, visible, thermal = rng.random(5)
        image = self._brightened(image, visible, thermal)
        if self.modality_shift:
            places = 2 * self.modality_shift + 1
            image = shift_thermal(image, *(int(draw * places) - self.modality_shift for draw in (down, right)))
        if flip < self.horizontal_flip:
            image, target = np.ascontiguousarray(image[:, ::-1]), _flipped(target, image.shape[1])
        return image, target

    def _brightened(self, image: np.ndarray, visible: float, thermal: float) -> np.ndarray:
        if not self.brightness:
            return image
        factors = np.array([visible] * _THERMAL + [thermal])[: image.shape[-1]]
        factors = 1 + self.brightness * (2 * factors - 1)
        return np.clip(np.rint(image * factors), 0, 255).astype(np.uint8)


def shift_thermal(image: UInt8[np.ndarray, "h w 4"], down: int, right: int) -> UInt8[np.ndarray, "h w 4"]:
    """Return the image with its thermal channel moved by so many pixels, and filled by reflection at the edges.

    Example:
        >>> image = np.arange(3, dtype=np.uint8).reshape(1, 3, 1).repeat(4, axis=-1)
        >>> shift_thermal(image, 0, 1)[0].tolist()
        [[0, 0, 0, 0], [1, 1, 1, 0], [2, 2, 2, 1]]
    """
    height, width = image.shape[:2]
    margin = max(abs(down), abs(right))
    padded = np.pad(image[..., _THERMAL], margin, mode="symmetric")
    top, left = margin - down, margin - right
    return np.concatenate([image[..., :_THERMAL], padded[top : top + height, left : left + width, None]], axis=-1)


def _flipped(boxes: Boxes, width: int) -> Boxes:
    corners = np.array(boxes.corners)
    objects = np.asarray(boxes.mask)
    corners[objects, 0], corners[objects, 2] = width - corners[objects, 2], width - corners[objects, 0]
    arrays: Any = {"corners": corners}
    return dataclasses.replace(boxes, **arrays)
