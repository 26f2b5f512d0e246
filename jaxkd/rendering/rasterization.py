"""Triangles that an image shows, and values of their vertices at its pixels."""

import functools
from typing import Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Integer

from jaxkd.rendering.edges import Edges, edges_of, weights_and_depth
from jaxkd.rendering.records import Fragments
from jaxkd.rendering.visibility import TILE, joined, tile_grid, visible

Culling: TypeAlias = Literal["none", "back"]
"""Triangles that are left out: none, or those that turn their back to the camera.

The front is where the corners follow one another counter-clockwise, as files of the format glTF have it.
"""


def rasterize(
    pixels: Float[Array, "v 2"],
    depth: Float[Array, " v"],
    faces: Integer[Array, "f 3"],
    *,
    height: int,
    width: int,
    culling: Culling = "none",
) -> Fragments:
    """Return the nearest triangle at the centre of each pixel, with barycentric weights and depth.

    A triangle is tried at the tiles of 8 x 8 pixels that its bounding box touches, so that time grows with the sum of
    those boxes, whatever the sizes of single triangles; memory grows with the image and with the number of triangles.
    Points on an edge belong to both triangles.  A triangle smaller than a pixel is seen where it covers the centre of
    one.

    Args:
        pixels: projected vertices, x to the right and y down; the centre of the first pixel is (0, 0).  Edges are drawn
            straight between them, which is exact for a pinhole camera.  Lenses bend them: with a fisheye camera, the
            error grows with the square of a triangle's size.
        depth: distance of the vertices along the optical axis, or any other whose inverse changes linearly over the
            image of a triangle.
        faces: vertices of the triangles.  Left out are faces with an index outside [0, v) (such as -1, for padding),
            with a vertex whose position or depth is not finite or whose depth is not positive, and without area.  None
            is clipped at the camera's plane.
        height: rows of the image.
        width: columns of the image.
        culling: triangles that are left out on purpose.

    Returns:
        Fragments of [h, w] pixels.  Where depths of two triangles differ by less than 1e-6 of their value, either may
        be returned.
        Weights and depth have gradients with respect to `pixels` and `depth`; the choice of the triangle has none.

    Raises:
        ValueError: shapes that do not agree, an image without pixels, an unknown `culling`, or 2^30 or more pairs of a
            face and a tile.

    Source: depth buffer: Catmull (1974); edge functions: Pineda (1988); interpolation linear in the inverse depth:
    Blinn (1992).  Deviation: inferred order of the work, a scatter of whole tiles.

    Example:
        >>> import jax.numpy as jnp
        >>> pixels = jnp.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
        >>> seen = rasterize(pixels, jnp.array([1.0, 1.0, 2.0]), jnp.array([[0, 1, 2]]), height=2, width=3)
        >>> seen.face.tolist()
        [[0, 0, 0], [0, 0, -1]]
        >>> [round(float(depth), 3) for depth in seen.depth[1]]
        [1.333, 1.333, inf]
    """
    check_mesh(pixels, depth, faces, height=height, width=width, culling=culling)
    if pixels.shape[0] == 0 or faces.shape[0] == 0:
        return _nothing(height, width, dtype=_wide(pixels, depth))
    return _rasterized(pixels, depth, faces, height=height, width=width, culling=culling)


def interpolate(
    fragments: Fragments, faces: Integer[Array, "f 3"], values: Float[Array, "v k"]
) -> Float[Array, "h w k"]:
    """Return the vertices' `values` at each pixel: the sum over three corners of weight * value.

    Args:
        fragments: triangles that are seen.
        faces: vertices of the triangles, as `rasterize` had them.
        values: any number of values for each vertex: colours, normals, positions.

    Returns:
        Per pixel, 0 where there is no face.  Gradients reach `values`, and the vertices' positions through the weights.

    Raises:
        ValueError: shapes that do not agree.

    Source: definition.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> pixels, faces = jnp.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]]), jnp.array([[0, 1, 2]])
        >>> seen = rasterize(pixels, jnp.ones(3), faces, height=2, width=3)
        >>> interpolate(seen, faces, pixels)[0].tolist()
        [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]]
    """
    if faces.ndim != 2 or faces.shape[1] != 3 or values.ndim != 2:
        raise ValueError(f"faces and values must be [f, 3] and [v, k], got {faces.shape} and {values.shape}.")
    if faces.shape[0] == 0 or values.shape[0] == 0:
        return jnp.zeros((*fragments.face.shape, values.shape[1]), fragments.depth.dtype)
    corners, rows = values[jnp.clip(faces, 0, values.shape[0] - 1)], jnp.maximum(fragments.face, 0)
    first, second, third = (fragments.barycentric[..., corner, None] * corners[:, corner][rows] for corner in range(3))
    return first + second + third


def check_mesh(
    pixels: Float[Array, "v 2"],
    depth: Float[Array, " v"],
    faces: Integer[Array, "f 3"],
    *,
    height: int,
    width: int,
    culling: Culling,
) -> None:
    """Refuse what `rasterize` refuses."""
    if culling not in get_args(Culling):
        raise ValueError(f"culling must be one of {', '.join(get_args(Culling))}, got {culling!r}.")
    if height < 1 or width < 1:
        raise ValueError(f"height and width must be 1 or more, got {height} and {width}: they are those of the image.")
    number = pixels.shape[0] if pixels.ndim else 0
    if pixels.shape != (number, 2) or depth.shape != (number,) or faces.ndim != 2 or faces.shape[1] != 3:
        raise ValueError(
            f"pixels, depth and faces must be [v, 2], [v] and [f, 3], got {pixels.shape}, {depth.shape} and "
            f"{faces.shape}. Use jax.vmap for the images of several cameras."
        )
    down, across = tile_grid(height, width)
    tiles = down * across
    if faces.shape[0] * tiles >= 2**30:
        raise ValueError(
            f"faces times tiles of 8 x 8 pixels must be below 2^30, got {faces.shape[0]} times {tiles}. Draw parts of "
            "the mesh, and keep the nearest at each pixel."
        )


def seen_faces(
    pixels: Float[Array, "v 2"],
    depth: Float[Array, " v"],
    faces: Integer[Array, "f 3"],
    *,
    height: int,
    width: int,
    culling: Culling,
) -> tuple[Edges, Bool[Array, " f"], Int[Array, "tiles 64"]]:
    """Edges of the faces, whether they turn their front to the camera, and the nearest at each pixel of each tile."""
    dtype, number = _wide(pixels, depth), pixels.shape[0]
    pixels, depth = pixels.astype(dtype), depth.astype(dtype)
    good = jnp.all(jnp.isfinite(pixels), axis=1) & jnp.isfinite(depth) & (depth > 0)
    kept = jnp.all((faces >= 0) & (faces < number), axis=1)
    faces = jnp.where(kept[:, None], faces, 0).astype(jnp.int32)
    kept &= jnp.all(good[faces], axis=1)
    # Vertices that no face may use become harmless numbers: their gradient is 0, not NaN.
    pixels, depth = jnp.where(good[:, None], pixels, 0), jnp.where(good, depth, 1)
    edges, front = edges_of(pixels, depth, faces)
    kept &= (front != 0) if culling == "none" else (front > 0)
    frozen, corners = jax.lax.stop_gradient((edges, pixels[faces]))
    return edges, front > 0, visible(frozen, corners, kept, height=height, width=width)


@functools.partial(jax.jit, static_argnames=("height", "width", "culling"))
def _rasterized(
    pixels: Float[Array, "v 2"],
    depth: Float[Array, " v"],
    faces: Integer[Array, "f 3"],
    *,
    height: int,
    width: int,
    culling: Culling,
) -> Fragments:
    edges, front, tiles = seen_faces(pixels, depth, faces, height=height, width=width, culling=culling)
    face = joined(tiles, height=height, width=width, side=TILE)
    row, column = (index.astype(edges.slopes.dtype) for index in jnp.indices(face.shape))
    weights, depth = weights_and_depth(edges, face, column=column, row=row)
    return Fragments(
        face=face,
        barycentric=jnp.stack(weights, axis=-1),
        front=(face >= 0) & front[jnp.maximum(face, 0)],
        depth=depth,
    )


def _wide(*arrays: Array) -> jnp.dtype:
    return jnp.promote_types(jnp.float32, jnp.result_type(*arrays))


def _nothing(height: int, width: int, *, dtype: jnp.dtype) -> Fragments:
    return Fragments(
        face=jnp.full((height, width), -1, jnp.int32),
        barycentric=jnp.zeros((height, width, 3), dtype),
        front=jnp.zeros((height, width), bool),
        depth=jnp.full((height, width), jnp.inf, dtype),
    )
