"""Choice of the prompts that the student answers; the others keep the answers of the data."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from jaxkd.on_policy.schedule import Ramp
from jaxkd.typing import Key


def require_fraction(fraction: float | Ramp) -> None:
    """Reject an invalid share of the prompts.

    Raises:
        ValueError: a share outside [0, 1], one that is always 0, or a ramp of less than a step.
    """
    if isinstance(fraction, Ramp) and fraction.steps < 1:
        raise ValueError(f"fraction.steps must be at least 1, got {fraction.steps}.")
    shares = (fraction.start, fraction.end) if isinstance(fraction, Ramp) else (fraction,)
    if not all(0 <= share <= 1 for share in shares) or not any(shares):
        raise ValueError(f"fraction must be in (0, 1], got {fraction}. Without answers it is off-policy.")


def sampled_prompts(fraction: float | Ramp, ids: Sequence[int], step: int, key: Key) -> Bool[np.ndarray, " b"] | None:
    """Sample for each prompt, independently, whether the student answers it.

    Args:
        fraction: probability that the student answers, in [0, 1], or its schedule over the run.
        ids: index of each example in the data, on which its sample depends.
        step: optimizer step.
        key: random key of the step.

    Returns:
        True where the student answers; None stands for all.
    """
    share = fraction.at(step) if isinstance(fraction, Ramp) else fraction
    if share == 1:
        return None
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(jax.random.fold_in(key, 1), jnp.asarray(ids))
    return np.asarray(jax.vmap(jax.random.uniform)(keys) < share)
