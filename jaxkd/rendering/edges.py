"""Edges of projected triangles."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


class Edges(NamedTuple):
    """Edge i lies opposite corner i; at pixel p, slopes[i] . (p - through[i]) is twice the area that it spans with p.

    The areas are >= 0 within the triangle.  Both triangles of an edge have the same numbers but for the sign, so that
    none of the pixels between them is lost by rounding.
    """

    slopes: Float[Array, "f 3 2"]
    through: Float[Array, "f 3 2"]
    inverse_depth: Float[Array, "f 3"]


def edges_of(
    pixels: Float[Array, "v 2"], depth: Float[Array, " v"], faces: Int[Array, "f 3"]
) -> tuple[Edges, Int[Array, " f"]]:
    """Edges of the triangles, and 1 for those that are seen from the front, -1 from the back, 0 without area."""
    following, third = jnp.roll(faces, -1, axis=1), jnp.roll(faces, -2, axis=1)
    turned = (following > third)[..., None]
    through = pixels[jnp.minimum(following, third)]
    along = pixels[jnp.maximum(following, third)] - through
    normal = jnp.stack([-along[..., 1], along[..., 0]], axis=-1)
    slopes = jnp.where(turned, -normal, normal)
    area = jnp.sum(slopes[:, 0] * (pixels[faces[:, 0]] - through[:, 0]), axis=-1)
    slopes = jnp.where((area < 0)[:, None, None], -slopes, slopes)
    # y points down: what is counter-clockwise to the eye has a negative area.
    return Edges(slopes, through, 1 / depth[faces]), -jnp.sign(area).astype(jnp.int32)


def weights_and_depth(
    edges: Edges, face: Int[Array, "*b"], *, column: Float[Array, "*b"], row: Float[Array, "*b"]
) -> tuple[list[Float[Array, "*b"]], Float[Array, "*b"]]:
    """Barycentric weights of the three corners and depth at points; 0 and infinite where the face is -1.

    Each number of a face is looked up alone, which XLA fuses with the arithmetic: on a processor, looking up vectors of
    two takes longer.
    """
    seen, rows = face >= 0, jnp.maximum(face, 0)

    def area(edge: int) -> Float[Array, "*b"]:
        right, down = (edges.slopes[:, edge, axis][rows] for axis in range(2))
        x, y = (edges.through[:, edge, axis][rows] for axis in range(2))
        return jnp.maximum(right * (column - x) + down * (row - y), 0)

    areas = [area(edge) for edge in range(3)]
    spanned = areas[0] + areas[1] + areas[2]
    # On a triangle thinner than rounding, all three areas may come out as 0.
    areas = [jnp.where(spanned > 0, one, 1) for one in areas]
    weighted = [one * edges.inverse_depth[:, corner][rows] for corner, one in enumerate(areas)]
    total = weighted[0] + weighted[1] + weighted[2]
    depth = jnp.where(seen, (areas[0] + areas[1] + areas[2]) / total, jnp.inf)
    return [jnp.where(seen, one / total, 0) for one in weighted], depth
