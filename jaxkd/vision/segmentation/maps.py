"""Outputs of a segmentation network."""

import dataclasses

import jax
from jaxtyping import Array, Float


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class SegmentationMaps:
    """Logits of the classes at each pixel, and what losses may look at besides."""

    logits: Float[Array, "b h w k"]
    """Logit of each class at each pixel, at the size of the images; one class is foreground against background."""
    auxiliary: tuple[Float[Array, "b h w k"], ...] = ()
    """Logits of auxiliary heads at the size of the images, the coarsest first."""
    features: tuple[Float[Array, "b _ _ _"], ...] = ()
    """Feature maps of the stages, the finest encoder stage first, then the decoder's."""
