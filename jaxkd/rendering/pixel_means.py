"""Values of a mesh at the pixels of an image, each the mean over several points."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Integer

from jaxkd.rendering.edges import Edges, weights_and_depth
from jaxkd.rendering.visibility import TILE, joined, tile_grid

TILES = 128
"""Tiles that one step looks at."""


class PixelMeans(NamedTuple):
    """Values of the object at the pixels."""

    values: Float[Array, "h w k"]
    """Mean over the points of the pixel that show the object; 0 where none does."""
    coverage: Float[Array, "h w"]
    """Share of the points that show it."""
    depth: Float[Array, "h w"]
    """Smallest depth; infinite where none shows it."""


def pixel_means(
    edges: Edges,
    tiles: Int[Array, "tiles 64"],
    values: Float[Array, "f 3 k"],
    *,
    height: int,
    width: int,
    samples: int,
) -> PixelMeans:
    """Interpolate values at the points of covered tiles, and average them over pixels of samples x samples points.

    Only tiles that show the object are looked at, a few at a time.  In one program over the whole image, XLA would
    interpolate once more for each use of the values.

    Args:
        edges: of the faces, in points.
        tiles: nearest face at each point of each tile.
        values: of the three corners of each face.
        height: pixels of the image; it has `samples` times as many points.
        width: as `height`.
        samples: points along a pixel's side; it divides the side of a tile.
    """
    down, across = tile_grid(samples * height, samples * width)
    number, step, side = down * across, min(TILES, down * across), TILE // samples
    covered = jnp.any(tiles >= 0, axis=1)
    order = jnp.nonzero(covered, size=number + step, fill_value=number)[0]
    total = jnp.sum(covered)
    offset = jnp.arange(TILE * TILE)[None]
    share = 1 / samples**2

    def pixels(points: Array) -> list[Array]:
        """Each of the points of all pixels of the tiles."""
        by_pixel = points.reshape(step, side, samples, side, samples, *points.shape[2:])
        found = [by_pixel[:, :, row, :, column] for row in range(samples) for column in range(samples)]
        return [one.reshape(step, side * side, *points.shape[2:]) for one in found]

    def some(state: tuple[Array, PixelMeans]) -> tuple[Array, PixelMeans]:
        base, found = state
        tile = jax.lax.dynamic_slice_in_dim(order, base, step)
        face = tiles[jnp.minimum(tile, number - 1)]
        column = ((tile % across) * TILE)[:, None] + offset % TILE
        row = ((tile // across) * TILE)[:, None] + offset // TILE
        dtype = edges.slopes.dtype
        weights, depth = weights_and_depth(edges, face, column=column.astype(dtype), row=row.astype(dtype))
        rows = jnp.maximum(face, 0)
        first, second, third = (weight[..., None] * values[:, corner][rows] for corner, weight in enumerate(weights))
        count = functools.reduce(jnp.add, pixels((face >= 0).astype(dtype)))
        total_values = functools.reduce(jnp.add, pixels(first + second + third))
        new = PixelMeans(
            total_values / jnp.maximum(count, 1)[..., None], count * share, functools.reduce(jnp.minimum, pixels(depth))
        )
        return base + step, jax.tree.map(lambda old, one: old.at[tile].set(one, mode="drop"), found, new)

    empty = PixelMeans(
        jnp.zeros((number, side * side, values.shape[2]), values.dtype),
        jnp.zeros((number, side * side), values.dtype),
        jnp.full((number, side * side), jnp.inf, values.dtype),
    )
    _, found = jax.lax.while_loop(lambda state: state[0] < total, some, (jnp.zeros((), total.dtype), empty))
    return jax.tree.map(lambda one: joined(one, height=height, width=width, side=side), found)


def corner_values(
    values: Float[Array, "v k"], faces: Integer[Array, "f 3"], front: Bool[Array, " f"], *, turned: int
) -> Float[Array, "f 3 k"]:
    """Values of the corners of the faces, of which the first `turned` are reversed where the back is seen."""
    corners = values[jnp.clip(faces, 0, values.shape[0] - 1)]
    sign = jnp.where(front[:, None, None] | (jnp.arange(values.shape[1]) >= turned)[None, None], 1, -1)
    return corners * sign.astype(values.dtype)
