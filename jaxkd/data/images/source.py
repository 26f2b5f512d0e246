"""Images with their targets, and sources of them."""

import abc
import dataclasses
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
from jaxtyping import UInt8

from jaxkd.typing import Split

SPLITS_OF_TEN: tuple[Split, ...] = (
    "train",
    "train",
    "test",
    "train",
    "validation",
    "train",
    "test",
    "train",
    "train",
    "test",
)
"""Splits of ten consecutive groups, for sources whose groups have an order."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ImageExample:
    """An image, and the target to learn.

    Raises:
        ValueError: an image that is not uint8 of shape [h, w, 3] or [h, w, 4].
    """

    key: str
    """Permanent name, which does not change when examples are added."""
    group: str
    """Group, all of whose examples are in one split: a patient, a slab, a photograph."""
    image: UInt8[np.ndarray, "h w c"]
    """Red, green and blue, from 0 to 255, and thermal as a fourth channel where there is one."""
    target: Any
    """Mask `[h w]` of 0, 1 and `jaxkd.records.UNLABELLED`, uint8, for segmentation; `jaxkd.records.Boxes` of NumPy
    arrays, the same number in all images, for detection."""
    stratum: str = ""
    """Subset whose results are given separately, such as a level of severity; empty if there is none."""

    def __post_init__(self) -> None:
        # `Any`: callers may not have checked their types.
        image: Any = self.image
        dtype, shape = getattr(image, "dtype", type(image).__name__), getattr(image, "shape", ())
        if dtype != np.uint8 or len(shape) != 3 or shape[-1] not in (3, 4) or 0 in shape:
            raise ValueError(
                f"image must be uint8 of shape [height, width, 3 or 4], got {dtype} of shape {shape} in {self.key!r}. "
                "Scale it to 0 to 255, and repeat a grey channel three times."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageSource(abc.ABC):
    """Source of images of one size: a frozen description, read on demand."""

    @property
    @abc.abstractmethod
    def size(self) -> tuple[int, int]:
        """Height and width of every image, in pixels."""

    @abc.abstractmethod
    def examples(self, split: Split) -> Sequence[ImageExample]:
        """Return the examples of one split, in a fixed order; empty if there are none.

        The sequence may be lazy, reading a file when it is indexed, and may be indexed by several threads.
        """

    def groups(self, split: Split) -> list[tuple[str, str]]:
        """Return key and group of each example.  Default: those of the examples, which are read for it."""
        return [(example.key, example.group) for example in self.examples(split)]

    def validate(self) -> None:
        """Check all files and groups, before anything long starts; errors name the file.  Default: nothing."""


def require_disjoint_groups(source: ImageSource) -> None:
    """Reject a source with one group in two splits: its test results would be those of images much like learnt ones.

    Raises:
        ValueError: a group in two splits; it and an example of either are named.
    """
    found: dict[str, tuple[Split, str]] = {}
    for split in get_args(Split):
        for key, group in source.groups(split):
            other, first = found.setdefault(group, (split, key))
            if other != split:
                raise ValueError(
                    f"the group {group!r} must be in one split of {type(source).__name__}, got {first!r} in {other} "
                    f"and {key!r} in {split}. Move all of its examples to one of them, or, if they have only the name "
                    "in common, give them other groups, for instance by group_pattern."
                )
