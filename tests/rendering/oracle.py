"""Rasteriser in NumPy and float64: every triangle against every pixel."""

import numpy as np

ROUNDING = 2.0**-24
"""Greatest relative error of one operation in float32."""


def candidates(pixels, depth, faces, *, height, width):
    """Signed areas over their sum, signed distances to the edges in pixels, and depth: [f h w 3], [f h w 3], [f h w].

    The areas are those of a pixel with two corners, over that of the triangle.  The depth is that of the point of the
    triangle with these weights; where the pixel lies outside, negative weights count as 0.
    """
    corners, inverse = np.float64(pixels)[faces], 1 / np.float64(depth)[faces]
    column, row = np.meshgrid(np.arange(width), np.arange(height))
    centres = np.stack([column, row], axis=-1)[None]
    shares, distances = [], []
    for corner in range(3):
        start, end = corners[:, (corner + 1) % 3, None, None], corners[:, (corner + 2) % 3, None, None]
        along, offset = end - start, centres - start
        shares.append(along[..., 0] * offset[..., 1] - along[..., 1] * offset[..., 0])
        distances.append(shares[-1] / np.linalg.norm(along, axis=-1))
    area = sum(shares)
    share = np.stack(shares, axis=-1) / area[..., None]
    distance = np.stack(distances, axis=-1) * np.sign(area)[..., None]
    inside = np.clip(share, 0, None)
    inside /= inside.sum(axis=-1, keepdims=True)
    return share, distance, 1 / np.sum(inside * inverse[:, None, None], axis=-1)


def assert_nearest(seen, pixels, depth, faces):
    """Every pixel shows a nearest face, up to faces whose edge or depth lies within rounding.

    An area is a sum of two products of differences of coordinates, each rounded: from the pixel's tile to a corner, and
    of up to 7 pixels inside the tile.  Its error is below 8 roundings of |slope| * 2 * (extent of the triangle + 8), so
    that an edge moves by less than `moved` pixels.

    Returns:
        The share of the pixels whose face is the only one that could be shown.
    """
    height, width = seen.face.shape
    _, distance, planes = candidates(pixels, depth, faces, height=height, width=width)
    corners = np.float64(pixels)[faces]
    moved = 8 * ROUNDING * 2 * (np.ptp(corners, axis=1).max() + 8)
    certain = (distance > moved).all(axis=-1)
    possible = (distance >= -moved).all(axis=-1)
    nearest = np.where(certain, planes, np.inf).min(axis=0)
    shown = possible & (planes <= nearest * (1 + 3e-6))  # a tie of 1e-6, and the rounding of both depths
    none = ~certain.any(axis=0)
    allowed = np.take_along_axis(shown, np.maximum(seen.face, 0)[None], axis=0)[0]
    assert np.where(seen.face < 0, none, allowed).all()
    return np.mean(shown.sum(axis=0) + none == 1)
