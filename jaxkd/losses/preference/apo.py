"""Anchored preference optimisation: controls each answer's probability, not only their difference."""

import dataclasses

import jax
from jaxtyping import Array, Float

from jaxkd.losses.preference.base import PreferenceLoss


def apo_zero_loss(
    chosen: Float[Array, "*pairs"],
    rejected: Float[Array, "*pairs"],
    *,
    beta: float = 0.1,
    probability: Float[Array, "*pairs"] | float = 1.0,
) -> Float[Array, "*pairs"]:
    """Return 1 - sigmoid(beta chosen) + sigmoid(beta rejected): raises the chosen answer, lowers the rejected one.

    Use it for pairs whose better answer is better than the model's own.

    Args:
        chosen: log pi(y | x) - log pi_ref(y | x) of the better answer, in nats.
        rejected: the same for the other answer.
        beta: scale of the scores, > 0.
        probability: probability that `chosen` is the better answer, in [0, 1]: 1 for a hard label.

    Returns:
        Per pair, float32 (float64 for float64 inputs), in [0, 2].

    Raises:
        ValueError: shapes that differ, or an option out of its range.

    Source: D'Oosterlinck et al. (arXiv 2408.06266), APO-zero.  Deviation: a constant 1, so that its infimum is 0.

    Example:
        >>> import jax.numpy as jnp
        >>> round(float(apo_zero_loss(jnp.array(2.0), jnp.array(-3.0))), 6)
        0.875723
    """
    return APOZeroLoss(beta=beta)(chosen, rejected, probability)


def apo_down_loss(
    chosen: Float[Array, "*pairs"],
    rejected: Float[Array, "*pairs"],
    *,
    beta: float = 0.1,
    probability: Float[Array, "*pairs"] | float = 1.0,
) -> Float[Array, "*pairs"]:
    """Return sigmoid(beta chosen) + 1 - sigmoid(beta (chosen - rejected)): lowers both answers, the rejected one more.

    Use it for pairs whose answers are both worse than the model's own.

    Args:
        chosen: log pi(y | x) - log pi_ref(y | x) of the better answer, in nats.
        rejected: the same for the other answer.
        beta: scale of the scores, > 0.
        probability: probability that `chosen` is the better answer, in [0, 1]: 1 for a hard label.

    Returns:
        Per pair, float32 (float64 for float64 inputs), in [0, 2].

    Raises:
        ValueError: shapes that differ, or an option out of its range.

    Source: D'Oosterlinck et al. (arXiv 2408.06266), APO-down.  Deviation: a constant 1, so that its infimum is 0.

    Example:
        >>> import jax.numpy as jnp
        >>> round(float(apo_down_loss(jnp.array(2.0), jnp.array(-3.0))), 6)
        0.927375
    """
    return APODownLoss(beta=beta)(chosen, rejected, probability)


@dataclasses.dataclass(frozen=True, kw_only=True)
class APOZeroLoss(PreferenceLoss):
    """`apo_zero_loss` with its hyper-parameters, for recipes."""

    def certain(self, chosen: Float[Array, "*pairs"], rejected: Float[Array, "*pairs"], /) -> Float[Array, "*pairs"]:
        # sigmoid(-x) rather than 1 - sigmoid(x), which loses precision near 0.
        return jax.nn.sigmoid(-self.beta * chosen) + jax.nn.sigmoid(self.beta * rejected)


@dataclasses.dataclass(frozen=True, kw_only=True)
class APODownLoss(PreferenceLoss):
    """`apo_down_loss` with its hyper-parameters, for recipes."""

    def certain(self, chosen: Float[Array, "*pairs"], rejected: Float[Array, "*pairs"], /) -> Float[Array, "*pairs"]:
        return jax.nn.sigmoid(self.beta * chosen) + jax.nn.sigmoid(-self.beta * (chosen - rejected))
