"""Triangles that an image shows."""

import dataclasses

import jax
from jaxtyping import Array, Bool, Float, Int


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Fragments:
    """Triangle that is seen at each pixel."""

    face: Int[Array, "*b h w"]
    """Index of the face; -1 where there is none."""
    barycentric: Float[Array, "*b h w 3"]
    """Weights of the three corners, >= 0 and of sum 1, of the point on the triangle itself (not of its image); 0 where
    there is no face."""
    front: Bool[Array, "*b h w"]
    """Whether the front of the face is seen: its corners follow one another counter-clockwise."""
    depth: Float[Array, "*b h w"]
    """Depth of that point, in the unit of the vertices; infinite where there is no face."""
