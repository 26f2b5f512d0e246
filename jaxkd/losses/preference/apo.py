"""Anchored preference optimisation: what becomes of each answer's probability, not of their difference alone."""

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
    """1 - sigmoid(beta chosen) + sigmoid(beta rejected): raises one answer and lowers the other.

    For pairs whose better answer is better than what the model writes.

    Args:
        chosen: log pi(y | x) - log pi_ref(y | x) of the better answer, in nats.
        rejected: the same of the other answer.
        beta: > 0.
        probability: in [0, 1], that `chosen` is the better answer: 1 for a hard label.

    Returns:
        Per pair, float32 (float64 for float64 inputs), in [0, 2].

    Raises:
        ValueError: shapes that differ, or an option out of its range.

    Source: D'Oosterlinck et al. (arXiv 2408.06266), APO-zero.  Deviation: a constant 1, so that it is 0 at its least.

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
    """sigmoid(beta chosen) + 1 - sigmoid(beta (chosen - rejected)): lowers both answers, the rejected one more.

    For pairs of which both answers are worse than what the model writes.

    Args:
        chosen: log pi(y | x) - log pi_ref(y | x) of the better answer, in nats.
        rejected: the same of the other answer.
        beta: > 0.
        probability: in [0, 1], that `chosen` is the better answer: 1 for a hard label.

    Returns:
        Per pair, float32 (float64 for float64 inputs), in [0, 2].

    Raises:
        ValueError: shapes that differ, or an option out of its range.

    Source: D'Oosterlinck et al. (arXiv 2408.06266), APO-down.  Deviation: a constant 1, so that it is 0 at its least.

    Example:
        >>> import jax.numpy as jnp
        >>> round(float(apo_down_loss(jnp.array(2.0), jnp.array(-3.0))), 6)
        0.927375
    """
    return APODownLoss(beta=beta)(chosen, rejected, probability)


@dataclasses.dataclass(frozen=True, kw_only=True)
class APOZeroLoss(PreferenceLoss):
    """`apo_zero_loss` with its hyper-parameters, as recipes take it."""

    def certain(self, chosen: Float[Array, "*pairs"], rejected: Float[Array, "*pairs"], /) -> Float[Array, "*pairs"]:
        # sigmoid(-x) and not 1 - sigmoid(x), which loses what is near 0.
        return jax.nn.sigmoid(-self.beta * chosen) + jax.nn.sigmoid(self.beta * rejected)


@dataclasses.dataclass(frozen=True, kw_only=True)
class APODownLoss(PreferenceLoss):
    """`apo_down_loss` with its hyper-parameters, as recipes take it."""

    def certain(self, chosen: Float[Array, "*pairs"], rejected: Float[Array, "*pairs"], /) -> Float[Array, "*pairs"]:
        return jax.nn.sigmoid(self.beta * chosen) + jax.nn.sigmoid(-self.beta * (chosen - rejected))
