"""Nearest triangle at each pixel, by a depth buffer over tiles of 8 x 8 pixels."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from jaxkd.rendering.edges import Edges

TILE = 8
"""Side of a tile, in pixels.  With 4, a hand takes a fifth longer; with 16, as long."""

PATCHES = 4096
"""Tiles of triangles that one step looks at: its arrays of 64 pixels each stay in a core's cache."""

TIE = 1e-6
"""Relative difference of two depths, below which neither triangle is nearer: rounding may decide between them."""


def visible(
    edges: Edges, corners: Float[Array, "f 3 2"], kept: Array, *, height: int, width: int
) -> Int[Array, "tiles 64"]:
    """Index of the nearest face at each pixel of each tile, -1 where there is none."""
    faces, dtype = corners.shape[0], corners.dtype
    down, across = tile_grid(height, width)
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
    return jnp.where(winner < faces, winner, -1)


def tile_grid(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the tiles that cover an image; the last ones may reach beyond it."""
    return -(-height // TILE), -(-width // TILE)


def joined(tiles: Shaped[Array, "tiles n *c"], *, height: int, width: int, side: int) -> Shaped[Array, "h w *c"]:
    """Image of height x width pixels from tiles of side x side, row by row."""
    down, across = -(-height // side), -(-width // side)
    parts = tiles.reshape(down, across, side, side, *tiles.shape[2:]).swapaxes(1, 2)
    return parts.reshape(down * side, across * side, *tiles.shape[2:])[:height, :width]


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
