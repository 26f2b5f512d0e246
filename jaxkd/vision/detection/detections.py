"""Objects that a detection network found."""

import dataclasses

import jax
from jaxtyping import Array, Bool, Float, Int


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Detections:
    """Objects that were found in each image: the same number of rows for each, of which `mask` names those that exist.

    Scores fall from row to row; the rows that are not objects come last and hold zeros.
    """

    corners: Float[Array, "b n 4"]
    """Left, top, right and bottom edge in pixels of the image that the network saw."""
    scores: Float[Array, "b n"]
    """Estimated IoU with an object of the class, in [0, 1]."""
    classes: Int[Array, "b n"]
    """Class of each object, from 0."""
    mask: Bool[Array, "b n"]
    """Whether a row is an object that was found."""
