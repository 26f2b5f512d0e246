"""Meshes that tests and benchmarks share."""

import numpy as np


def sphere(rings: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit sphere with rings x columns vertices between its poles, counter-clockwise seen from outside."""
    polar = np.pi * np.arange(1, rings + 1) / (rings + 1)
    around = 2 * np.pi * np.arange(columns) / columns
    polar, around = (one.reshape(-1) for one in np.meshgrid(polar, around, indexing="ij"))
    between = np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], axis=-1)
    vertices = np.concatenate([between, [[0, 0, 1], [0, 0, -1]]]).astype(np.float32)
    ring, column = (one.reshape(-1) for one in np.meshgrid(np.arange(rings - 1), np.arange(columns), indexing="ij"))
    following = (column + 1) % columns
    one, two = ring * columns + column, (ring + 1) * columns + column
    three, four = (ring + 1) * columns + following, ring * columns + following
    last, start = np.arange(columns), (rings - 1) * columns
    after = (last + 1) % columns
    north, south = np.full(columns, rings * columns), np.full(columns, rings * columns + 1)
    faces = [
        np.stack([one, two, three], axis=-1),
        np.stack([one, three, four], axis=-1),
        np.stack([north, last, after], axis=-1),
        np.stack([south, start + after, start + last], axis=-1),
    ]
    return vertices, np.concatenate(faces).astype(np.int32)
