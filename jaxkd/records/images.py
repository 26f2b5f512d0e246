"""Batches of images."""

import dataclasses
from typing import Generic, TypeAlias, TypeVar

import jax
from jaxtyping import Array, UInt8

from jaxkd.records.boxes import Boxes

Target = TypeVar("Target")

UNLABELLED = 255
"""Value of the pixels of a mask whose class is not known: they cost nothing, and an image may consist of them."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageBatch(Generic[Target]):
    """Images of one size, and the target of each."""

    images: UInt8[Array, "b h w c"]
    """Red, green and blue, from 0 to 255, and thermal as a fourth channel where there is one; the network normalises
    them."""
    targets: Target
    """Target of each image: an array, or a pytree of arrays, with a row for each image."""


MaskBatch: TypeAlias = ImageBatch[UInt8[Array, "b h w"]]
"""Images and masks of 0, 1 and `UNLABELLED`."""

DetectionBatch: TypeAlias = ImageBatch[Boxes]
"""Images and the objects in each."""
