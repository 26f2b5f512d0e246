"""Batches of images."""

import dataclasses

import jax
from jaxtyping import Array, UInt8

UNLABELLED = 255
"""Value of the pixels of a mask whose class is not known: they cost nothing, and an image may consist of them."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageBatch:
    """Images of one size, and the target of each."""

    images: UInt8[Array, "b h w 3"]
    """Red, green and blue, from 0 to 255; the network normalises them."""
    targets: UInt8[Array, "b ..."]
    """Masks `[b h w]` of 0, 1 and `UNLABELLED` for segmentation; other tasks have others."""
