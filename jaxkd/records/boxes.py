"""Boxes around objects, padded to one number for each image."""

import dataclasses

import jax
from jaxtyping import Array, Bool, Float, Int


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Boxes:
    """Objects of an image, or of several: the same number of rows for each, of which `mask` names those that exist.

    On the host its fields are NumPy arrays.
    """

    corners: Float[Array, "*b n 4"]
    """Left, top, right and bottom edge in pixels; (0, 0) is the image's top left corner, (width, height) the opposite
    one, and the centre of the first pixel is (0.5, 0.5)."""
    classes: Int[Array, "*b n"]
    """Class of each object, from 0."""
    mask: Bool[Array, "*b n"]
    """Whether a row is an object; the others are padding, whatever they hold."""
    ignored: Bool[Array, "*b n"]
    """Whether an object is neither learnt nor counted, such as a crowd that was not taken apart."""
