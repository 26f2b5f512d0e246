"""Nearest triangle at each pixel, by a depth buffer over tiles of 8 x 8 pixels."""

import functools
from typing import Literal, NamedTuple, TypeAlias, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Integer

from jaxkd.rendering.fragments import Fragments

Culling: TypeAlias = Literal["none", "back"]
"""Triangles that are left out: none, or those that turn their back to the camera.

The front is where the corners follow one another counter-clockwise, as files of the format glTF have it.
"""

TILE = 8
"""Side of a tile, in pixels.  With 4 and 16, a hand takes longer."""

PATCHES = 4096
"""Tiles of triangles that one step looks at: its arrays of 64 pixels each stay in a core's cache."""

TIE = 1e-6
"""Relative difference of two depths, below which neither triangle is nearer: rounding may decide between them."""


class _Edges(NamedTuple):
    """Edge i lies opposite corner i; at pixel p, slopes[i] . (p - through[i]) is twice the area that it spans with p.

    The areas are >= 0 within the triangle.  Both triangles of an edge have the same numbers but for the sign, so that
    none of the pixels between them is lost by rounding.
    """

    slopes: Float[Array, "f 3 2"]
    through: Float[Array, "f 3 2"]
    inverse_depth: Float[Array, "f 3"]


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
    Points on an edge belong to both triangles.  A triangle smaller than a pixel is seen where it covers a pixel's centre.

    Args:
        pixels: projected vertices, x to the right and y down; the centre of the first pixel is (0, 0).  Edges are drawn
            straight between them, which is exact for a pinhole camera.  Lenses bend them: with a fisheye camera, the
            error grows with the square of a triangle's size.
        depth: distance of the vertices along the optical axis, or any other whose inverse changes linearly over the
            image of a triangle.
        faces: vertices of the triangles.  Left out are faces with an index outside [0, v) (such as -1, for padding),
            with a vertex whose position or depth is not finite or whose depth is not positive, and without area.  None is
            clipped at the camera's plane.
        height: rows of the image.
        width: columns of the image.
        culling: triangles that are left out on purpose.

    Returns:
        Of [h, w] pixels.  Where depths of two triangles differ by less than 1e-6 of their value, either may be returned.
        Weights and depth have gradients with respect to `pixels` and `depth`; the choice of the triangle has none.

    Raises:
        ValueError: shapes that do not agree, an image without pixels, an unknown `culling`, or 2^31 or more pairs of a
            face and a tile.

    Source: depth buffer: Catmull (1974); edge functions: Pineda (1988); interpolation linear in the inverse depth:
    Blinn (1992).  Deviation: inferred order of the work, a scatter of whole tiles.

    Example:
        >>> import jax.numpy as jnp
        >>> pixels = jnp.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
        >>> seen = rasterize(pixels, jnp.array([1.0, 1.0, 2.0]), jnp.array([[0, 1, 2]]), height=2, width=3)
        >>> seen.face.tolist()
        [[0, 0, 0], [0, 0, -1]]
        >>> seen.depth[1].round(4).tolist()
        [1.3333333730697632, 1.3333333730697632, inf]
    """
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
    tiles = -(-height // TILE) * -(-width // TILE)
    if faces.shape[0] * tiles >= 2**31:
        raise ValueError(
            f"faces times tiles of 8 x 8 pixels must be below 2^31, got {faces.shape[0]} times {tiles}. Draw parts of the "
            "mesh and keep the nearest."
        )
    if number == 0 or faces.shape[0] == 0:
        return _nothing(height, width, dtype=_wide(pixels, depth))
    return _rasterized(pixels, depth, faces, height=height, width=width, culling=culling)


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
    dtype, number = _wide(pixels, depth), pixels.shape[0]
    pixels, depth = pixels.astype(dtype), depth.astype(dtype)
    good = jnp.all(jnp.isfinite(pixels), axis=1) & jnp.isfinite(depth) & (depth > 0)
    kept = jnp.all((faces >= 0) & (faces < number), axis=1)
    faces = jnp.where(kept[:, None], faces, 0).astype(jnp.int32)
    kept &= jnp.all(good[faces], axis=1)
    # Vertices that no face may use become harmless numbers: their gradient is 0, not NaN.
    pixels, depth = jnp.where(good[:, None], pixels, 0), jnp.where(good, depth, 1)
    edges, front = _edges(pixels, depth, faces)
    kept &= (front != 0) if culling == "none" else (front > 0)
    frozen, corners = jax.lax.stop_gradient((edges, pixels[faces]))
    face = _visible(frozen, corners, kept, height=height, width=width)
    return _fragments(edges, front, face)


def _wide(*arrays: Array) -> jnp.dtype:
    return jnp.promote_types(jnp.float32, jnp.result_type(*arrays))


def _nothing(height: int, width: int, *, dtype: jnp.dtype) -> Fragments:
    return Fragments(
        face=jnp.full((height, width), -1, jnp.int32),
        barycentric=jnp.zeros((height, width, 3), dtype),
        front=jnp.zeros((height, width), bool),
        depth=jnp.full((height, width), jnp.inf, dtype),
    )


def _edges(
    pixels: Float[Array, "v 2"], depth: Float[Array, " v"], faces: Int[Array, "f 3"]
) -> tuple[_Edges, Int[Array, " f"]]:
    """Edges of the triangles, and 1 for those that are seen from the front, -1 from the back, 0 without area."""
    following, third = jnp.roll(faces, -1, axis=1), jnp.roll(faces, -2, axis=1)
    turned = (following > third)[..., None]
    through = pixels[jnp.minimum(following, third)]
    along = pixels[jnp.maximum(following, third)] - through
    normal = jnp.stack([-along[..., 1], along[..., 0]], axis=-1)
    slopes = jnp.where(turned, -normal, normal)
    # y points down: what is counter-clockwise to the eye has a negative area here.
    area = jnp.sum(slopes[:, 0] * (pixels[faces[:, 0]] - through[:, 0]), axis=-1)
    slopes = jnp.where((area < 0)[:, None, None], -slopes, slopes)
    return _Edges(slopes, through, 1 / depth[faces]), -jnp.sign(area).astype(jnp.int32)


def _visible(
    edges: _Edges, corners: Float[Array, "f 3 2"], kept: Array, *, height: int, width: int
) -> Int[Array, "h w"]:
    """Index of the nearest face at each pixel, -1 where there is none."""
    faces, dtype = corners.shape[0], corners.dtype
    down, across = -(-height // TILE), -(-width // TILE)
    tiles = down * across
    first, size = _tiles(corners, kept, height=height, width=width)
    counts = size[:, 0] * size[:, 1]
    ends = jnp.cumsum(counts)
    total, starts = ends[-1], ends - counts
    patches = min(PATCHES, faces * tiles)
    rows, columns = (offsets.reshape(-1).astype(dtype) for offsets in jnp.mgrid[:TILE, :TILE])

    def areas(face: Array, tile: Array) -> list[Array]:
        """The three areas at each pixel of a tile: exact at its first pixel, then by the slopes."""
        slopes, through = edges.slopes[face], edges.through[face]
        origin = TILE * jnp.stack([tile % across, tile // across], axis=-1).astype(dtype)
        at_origin = jnp.sum(slopes * (origin[:, None] - through), axis=-1)
        return [
            at_origin[:, edge, None] + slopes[:, edge, 0, None] * columns[None] + slopes[:, edge, 1, None] * rows[None]
            for edge in range(3)
        ]

    def step(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        base, nearest, winner = state
        pair = base + jnp.arange(patches)
        face = jnp.minimum(jnp.searchsorted(ends, pair, side="right"), faces - 1)
        within, wide = pair - starts[face], jnp.maximum(size[face, 0], 1)
        tile = (first[face, 1] + within // wide) * across + first[face, 0] + within % wide
        tile = jnp.where(pair < total, tile, tiles)  # outside: what is scattered there is dropped
        area = areas(face, tile)
        # The mean of the corners' inverse depths lies between them, however thin the triangle is.
        inverse = edges.inverse_depth[face]
        spanned = area[0] + area[1] + area[2]
        depth = sum(area[edge] * inverse[:, edge, None] for edge in range(3)) / spanned
        inside = (jnp.minimum(jnp.minimum(area[0], area[1]), area[2]) >= 0) & (spanned > 0)
        candidate = jnp.where(inside, depth, 0)
        nearer = nearest.at[tile].max(candidate, mode="drop")
        # Up to a tie, and not equal to the last digit: XLA may compute a candidate a second time, in another order.
        wins = inside & (candidate >= (1 - TIE) * nearer[jnp.minimum(tile, tiles - 1)])
        winner = jnp.where(nearer > nearest, faces, winner)
        winner = winner.at[tile].min(jnp.where(wins, face[:, None], faces), mode="drop")
        return base + patches, nearer, winner

    empty = jnp.zeros((tiles, TILE * TILE), dtype), jnp.full((tiles, TILE * TILE), faces, jnp.int32)
    _, _, winner = jax.lax.while_loop(lambda state: state[0] < total, step, (jnp.zeros((), jnp.int32), *empty))
    image = winner.reshape(down, across, TILE, TILE).swapaxes(1, 2).reshape(down * TILE, across * TILE)
    image = image[:height, :width]
    return jnp.where(image < faces, image, -1)


def _tiles(
    corners: Float[Array, "f 3 2"], kept: Array, *, height: int, width: int
) -> tuple[Int[Array, "f 2"], Int[Array, "f 2"]]:
    """Column and row of the first tile of each bounding box, and the number of tiles across and down, 0 for none."""
    limits = jnp.array([width, height], corners.dtype)[None]
    low = jnp.clip(jnp.ceil(jnp.min(corners, axis=1)), 0, limits).astype(jnp.int32)
    high = jnp.clip(jnp.floor(jnp.max(corners, axis=1)), -1, limits - 1).astype(jnp.int32)
    kept &= jnp.all(low <= high, axis=1)
    first = low // TILE
    return first, jnp.where(kept[:, None], high // TILE - first + 1, 0)


def _fragments(edges: _Edges, front: Int[Array, " f"], face: Int[Array, "h w"]) -> Fragments:
    """Weights and depth at the centres of the pixels.

    Each number of a face is looked up alone, which XLA fuses with the arithmetic: on a processor that takes a quarter of
    the time of looking up vectors of two.
    """
    seen, rows = face >= 0, jnp.maximum(face, 0)
    row, column = (index.astype(edges.slopes.dtype) for index in jnp.indices(face.shape))

    def area(edge: int) -> Float[Array, "h w"]:
        right, down = (edges.slopes[:, edge, axis][rows] for axis in range(2))
        x, y = (edges.through[:, edge, axis][rows] for axis in range(2))
        return jnp.maximum(right * (column - x) + down * (row - y), 0)

    areas = [area(edge) for edge in range(3)]
    spanned = areas[0] + areas[1] + areas[2]
    # On a triangle thinner than rounding, all three areas may come out as 0.
    areas = [jnp.where(spanned > 0, one, 1) for one in areas]
    weighted = [one * edges.inverse_depth[:, corner][rows] for corner, one in enumerate(areas)]
    total = weighted[0] + weighted[1] + weighted[2]
    return Fragments(
        face=face,
        barycentric=jnp.where(seen[..., None], jnp.stack([one / total for one in weighted], axis=-1), 0),
        front=seen & (front > 0)[rows],
        depth=jnp.where(seen, (areas[0] + areas[1] + areas[2]) / total, jnp.inf),
    )
