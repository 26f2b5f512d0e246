"""Blocks of windows that are independent enough to hold one out: trajectories, or long pieces of one."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


def blocks(
    lengths: Int[np.ndarray, " trajectories"], *, samples: int, window: int, stride: int, folds: int
) -> Int[np.ndarray, "blocks rows"]:
    """Group windows into blocks: one per trajectory, or several if there are fewer trajectories than folds.

    Windows are numbered through all trajectories, each padded to `samples` samples; -1 pads a block.

    Raises:
        ValueError: fewer than three blocks, which is too few to hold one out.
    """
    windows = (samples - window) // stride + 1
    counts = np.where(lengths >= window, (lengths - window) // stride + 1, 0)
    pieces = -(-folds // max(1, np.count_nonzero(counts)))
    found: list[np.ndarray] = []
    for trajectory, count in enumerate(counts):
        size = max(1, -(-count // pieces))
        found += [trajectory * windows + np.arange(first, min(first + size, count)) for first in range(0, count, size)]
    if len(found) < 3:
        raise ValueError(
            f"states must have 3 windows of {window} samples at least, got trajectories of {lengths.tolist()} samples. "
            "Measure longer or more often."
        )
    longest = max(block.size for block in found)
    return np.stack([np.pad(block, (0, longest - block.size), constant_values=-1) for block in found])


def gathered(
    side: Float[Array, "trajectories windows columns"], table: Int[Array | np.ndarray, "blocks rows"]
) -> Float[Array, "blocks rows columns"]:
    """Gather the windows of each block; padding rows are 0."""
    return jnp.where((table < 0)[:, :, None], 0.0, jnp.reshape(side, (-1, side.shape[2]))[table])
