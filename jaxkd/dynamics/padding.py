"""Trajectories of different lengths as one array."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def pad(trajectories: Sequence[Float[np.ndarray, "..."]]) -> tuple[Float[Array, "..."], tuple[int, ...]]:
    """One array with a first axis for the trajectories, filled up with each one's last value, and their lengths.

    Args:
        trajectories: [times, ...] each.

    Returns:
        The array, and what `identify` and `held_out` take as `lengths`.

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
    places = np.minimum(np.arange(max(lengths))[None], np.array(lengths)[:, None] - 1)
    rows = [np.asarray(one)[place] for one, place in zip(trajectories, places, strict=True)]
    return jnp.asarray(np.stack(rows)), lengths
