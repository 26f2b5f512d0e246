"""Padding of trajectories of different lengths to one array."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def pad(trajectories: Sequence[Float[np.ndarray, "..."]]) -> tuple[Float[Array, "..."], tuple[int, ...]]:
    """Stack trajectories on a new first axis, padded with each one's last value, and return their lengths.

    Args:
        trajectories: arrays of shape [times, ...].

    Returns:
        The array, and the `lengths` that `identify` and `held_out` take.

    Raises:
        ValueError: no trajectories, or one without samples.

    Source: the definition.  Deviation: none.

    Example:
        >>> import numpy as np
        >>> values, lengths = pad([np.array([1.0, 2.0, 3.0]), np.array([4.0])])
        >>> values.tolist(), lengths
        ([[1.0, 2.0, 3.0], [4.0, 4.0, 4.0]], (3, 1))
    """
    lengths = tuple(len(one) for one in trajectories)
    if not lengths or not min(lengths):
        raise ValueError(f"trajectories must be one or more, with samples, got lengths {lengths}.")
    positions = np.minimum(np.arange(max(lengths))[None], np.array(lengths)[:, None] - 1)
    rows = [np.asarray(one)[position] for one, position in zip(trajectories, positions, strict=True)]
    return jnp.asarray(np.stack(rows)), lengths
