"""Outputs of a detection network."""

import dataclasses

import jax
from jaxtyping import Array, Float


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class WeakMaps:
    """Outputs that weak supervision reads, for each map of the backbone, the finest first."""

    image_logits: tuple[Float[Array, "b classes"], ...]
    """Logit of each class being in the image."""
    mask_logits: tuple[Float[Array, "b _ _ classes"], ...]
    """Logit of each class covering a cell, by the union of its boxes."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectionMaps:
    """Classes and edges at each cell of a pyramid of maps, and what losses may look at besides.

    Each tuple has one map for each level, the finest first.  The centre of the cell in row y and column x of a level
    lies at ((x + 1/2) * stride, (y + 1/2) * stride) of the image.
    """

    class_logits: tuple[Float[Array, "b h w classes"], ...]
    """Logit of each class; its sigmoid is the quality of the box, if the cell is of that class."""
    edge_logits: tuple[Float[Array, "b h w 4 bins"], ...]
    """Logits of the distance from the cell's centre to the left, top, right and bottom edge: bin i stands for i
    strides."""
    tower: tuple[Float[Array, "b h w k"], ...]
    """Features that the last convolution of the classification reads."""
    strides: tuple[int, ...] = dataclasses.field(metadata={"static": True})
    """Pixels between the centres of neighbouring cells."""
    backbone: tuple[Float[Array, "b _ _ _"], ...] = ()
    """Feature maps of the backbone, the finest first."""
    modality_weights: Float[Array, "b h w 2"] | None = None
    """Weights of the visible and the thermal image at each pixel; None: the network has none."""
    weak: WeakMaps | None = None
    """Outputs of the branch for weak supervision; None: the network has none, or is not in training."""
