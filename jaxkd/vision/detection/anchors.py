"""Centres of the cells of a map, and the square anchor of each."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def cell_centres(height: int, width: int, stride: float) -> Float[Array, "cells 2"]:
    """Return ((column + 1/2) * stride, (row + 1/2) * stride) of each cell of a map, in pixels, row by row.

    Args:
        height: rows of the map.
        width: columns of the map.
        stride: pixels between the centres of neighbouring cells.

    Returns:
        x and y, float32; cell i lies in row i // width and column i % width.

    Raises:
        ValueError: a map without cells, or a stride that is not positive.

    Source: Tian et al., FCOS (arXiv 1904.01355), section 3.1.  Deviation: open-mmlab/mmdetection@0802aee puts the
    centres of GFL's anchors at (column * stride, row * stride), so that its weights expect boxes moved by half a
    stride.

    Example:
        >>> cell_centres(2, 2, 8).tolist()
        [[4.0, 4.0], [12.0, 4.0], [4.0, 12.0], [12.0, 12.0]]
    """
    if height < 1 or width < 1:
        raise ValueError(f"height and width must be 1 or more, got {height} and {width}: a map has cells.")
    if not stride > 0:
        raise ValueError(f"stride must be > 0, got {stride}.")
    y, x = jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij")
    return (jnp.stack([x, y], axis=-1).reshape(-1, 2).astype(jnp.float32) + 0.5) * stride


def square_anchors(centres: Float[Array, "n 2"], *, stride: float, scale: float = 8.0) -> Float[Array, "n 4"]:
    """Return the corners of a square with sides of `scale * stride` pixels around each centre.

    Args:
        centres: x and y in pixels.
        stride: pixels between neighbouring centres.
        scale: side of the square, in strides.

    Returns:
        Left, top, right and bottom edge in pixels, float32; anchors at the border reach out of the image.

    Raises:
        ValueError: a side that is not positive.

    Source: Zhang et al., ATSS (arXiv 1912.02424), section 3: one square anchor of 8 strides for each cell.  Deviation:
    none.

    Example:
        >>> square_anchors(cell_centres(1, 2, 8), stride=8, scale=4).tolist()
        [[-12.0, -12.0, 20.0, 20.0], [-4.0, -12.0, 28.0, 20.0]]
    """
    if not stride * scale > 0:
        raise ValueError(f"stride and scale must be > 0, got {stride} and {scale}.")
    half = stride * scale / 2
    return jnp.concatenate([centres - half, centres + half], axis=-1)
