"""Rows of a global batch that each process reads, and device arrays gathered on every host."""

import dataclasses

import jax
import numpy as np
from jax.experimental import multihost_utils


@dataclasses.dataclass(frozen=True, kw_only=True)
class Share:
    """One of equal shares of the rows of a global batch.

    Raises:
        ValueError: a count below 1, or an index that is not in [0, count).

    Example:
        >>> Share(index=1, count=2).rows(8)
        slice(4, 8, None)
    """

    index: int = 0
    """Position among the shares, from 0."""
    count: int = 1
    """Number of shares."""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count must be at least 1, got {self.count}.")
        if not 0 <= self.index < self.count:
            raise ValueError(f"index must be in [0, {self.count}), got {self.index}.")

    @classmethod
    def of_process(cls) -> "Share":
        """Return the share of this process, one for each process of `jax.distributed`."""
        return cls(index=jax.process_index(), count=jax.process_count())

    def rows(self, rows: int) -> slice:
        """Return the rows of a global batch that belong to this share.

        Args:
            rows: number of rows of the global batch.

        Raises:
            ValueError: rows that the shares do not divide.
        """
        if rows % self.count:
            raise ValueError(
                f"rows must be a multiple of the number of processes, got {rows} rows for {self.count} processes. "
                f"The nearest: {max(rows // self.count, 1) * self.count}."
            )
        each = rows // self.count
        return slice(self.index * each, (self.index + 1) * each)


WHOLE = Share()
"""All rows, as a single process takes them."""


def on_host(array: jax.Array) -> np.ndarray:
    """Return the whole array on the host of every process."""
    if array.is_fully_addressable:
        return np.asarray(array)
    return np.asarray(multihost_utils.process_allgather(array, tiled=True))
