"""Records of rendering: what a pixel sees, the light, and the image."""

import dataclasses

import jax
from jaxtyping import Array, Bool, Float, Int, UInt8


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


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Light:
    """A distant light, and light from all sides.

    It is a tree of arrays, so that each scene of a batch has a light of its own.
    """

    direction: Float[Array, "*b 3"]
    """Vector from the scene towards the light, of any length, in camera coordinates: (0, 0, -1) for a light at the
    camera."""
    colour: Float[Array, "*b c"]
    """Light of each channel; where it is 1, a white surface that faces the light has a radiance of 1, the brightest
    that an image can hold."""
    ambient: Float[Array, "*b c"]
    """Light of each channel from all sides, in the same unit."""
    specular: Float[Array, "*b"]
    """Height of the highlight, as a share of `colour`: about 0.1 for skin; 0 for none."""
    shininess: Float[Array, "*b"]
    """Exponent of the highlight: about 10 for skin; the higher, the smaller."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class ObjectLayer:
    """Light of an object, without what is behind it."""

    radiance: Float[Array, "*b h w c"]
    """Linear radiance, times the share of the pixel that the object covers."""
    coverage: Float[Array, "*b h w"]
    """Share of the pixel that the object covers, in [0, 1]."""
    depth: Float[Array, "*b h w"]
    """Smallest depth of the object within the pixel, in metres; infinite where it is not seen."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Rendering:
    """Image of an object before a background."""

    image: UInt8[Array, "*b h w c"]
    """Pixel values in sRGB."""
    mask: Float[Array, "*b h w"]
    """Share of the pixel that the object covers, in [0, 1]; with motion blur, its mean over time."""
    depth: Float[Array, "*b h w"]
    """Smallest depth of the object within the pixel, in metres, in the middle of the exposure; infinite where it is not
    seen."""
