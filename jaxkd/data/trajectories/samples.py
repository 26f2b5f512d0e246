"""Streams of random numbers, for sampling a table anew at each step."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from jaxkd.sharding import WHOLE, Share

if TYPE_CHECKING:
    import grain

_STEPS = 2**31
"""Length of a stream, beyond any run."""


def uniform(rows: int, seed: int, *, share: Share = WHOLE) -> "grain.IterDataset":
    """Return a share of the rows of an endless stream of global batches of numbers in [0, 1).

    Args:
        rows: rows of a global batch.
        seed: random seed.
        share: share of the rows of each global batch.

    Raises:
        ValueError: rows that cannot be shared evenly, or a negative seed.
    """
    import grain

    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}.")
    mine = share.rows(rows)

    def drawn(step: int) -> Float[np.ndarray, " rows"]:
        return np.random.default_rng((seed, step)).random(rows)[mine]

    reading = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
    return grain.MapDataset.range(_STEPS).map(drawn).to_iter_dataset(reading)
