"""Outputs of a network that finds the joints of one hand."""

import dataclasses

import jax
from jaxtyping import Array, Float


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class HandPrediction:
    """Joints of the hand that each image shows, in its pixels and in space.

    The order of the joints is that of the labels that the network learnt from.
    """

    pixels: Float[Array, "b j 2"]
    """Column and row of each joint in pixels of the network's image, the centre of the first pixel being (0, 0).  They
    may lie outside the image."""
    points: Float[Array, "b j 3"]
    """Position of each joint in metres relative to the wrist, along the axes of the image's camera: x to the right, y
    down, z forward.  The wrist's is 0."""
    root_depth: Float[Array, " b"] | None = None
    """Distance of the wrist from the camera along z in metres; None: the network does not estimate it."""
    confidence: Float[Array, " b"] | None = None
    """Probability that the image shows a hand; None: the network does not estimate it."""
