"""Pairwise losses without a reference model, on mean log-probabilities per token: SimPO and ORPO."""

import dataclasses
import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.losses.preference.base import PreferenceLoss
from jaxkd.losses.reduce import Reduction


def simpo_loss(
    chosen: Float[Array, "*pairs"],
    rejected: Float[Array, "*pairs"],
    *,
    beta: float = 2.5,
    margin: float = 1.25,
    probability: Float[Array, "*pairs"] | float = 1.0,
) -> Float[Array, "*pairs"]:
    """Return -log sigmoid(beta (chosen - rejected) - margin).

    Args:
        chosen: mean log-probability of a token of the better answer, in nats.
        rejected: the same for the other answer.
        beta: scale of the scores, > 0.
        margin: gamma of the paper, >= 0: target for beta times the difference.
        probability: probability that `chosen` is the better answer, in [0, 1]: 1 for a hard label.

    Returns:
        Per pair, float32 (float64 for float64 inputs), >= 0.

    Raises:
        ValueError: shapes that differ, or an option out of its range.

    Source: Meng, Xia & Chen (arXiv 2405.14734), equation 6.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> round(float(simpo_loss(jnp.array(-1.0), jnp.array(-1.5))), 6)  # beta times 0.5 is the margin: log 2
        0.693147
    """
    return SimPOLoss(beta=beta, margin=margin)(chosen, rejected, probability)


def orpo_loss(
    chosen: Float[Array, "*pairs"],
    rejected: Float[Array, "*pairs"],
    *,
    beta: float = 0.1,
    probability: Float[Array, "*pairs"] | float = 1.0,
) -> Float[Array, "*pairs"]:
    """Return -chosen - beta log sigmoid(log odds(chosen) - log odds(rejected)), odds = P / (1 - P) and P = exp(score).

    It fine-tunes on the better answer, with a penalty on the odds of the other one.

    Args:
        chosen: mean log-probability of a token of the better answer, in nats, <= 0.
        rejected: the same for the other answer.
        beta: lambda of the paper, > 0: the weight of the odds.
        probability: probability that `chosen` is the better answer, in [0, 1]: 1 for a hard label.

    Returns:
        Per pair, float32 (float64 for float64 inputs), >= 0.  Log-probabilities above -epsilon of the dtype are clipped
        to it, so that the odds are finite.

    Raises:
        ValueError: shapes that differ, or an option out of its range.

    Source: Hong, Lee & Thorne (arXiv 2403.07691), equations 6 and 7, whose P is the geometric mean over an answer's
    tokens.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> even = jnp.log(jnp.array(0.5))  # odds of 1 both: log 2 for the answer, and a tenth of log 2
        >>> round(float(orpo_loss(even, even)), 6)
        0.762462
    """
    return ORPOLoss(beta=beta)(chosen, rejected, probability)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimPOLoss(PreferenceLoss):
    """`simpo_loss` with its hyper-parameters, for recipes."""

    beta: float = 2.5
    margin: float = 1.25
    """Target for beta times the difference, >= 0: gamma of the paper."""
    normalization: Reduction = "mean"

    reads_reference: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.margin) and self.margin >= 0):
            raise ValueError(f"margin must be >= 0 and finite, got {self.margin}.")

    def certain(self, chosen: Float[Array, "*pairs"], rejected: Float[Array, "*pairs"], /) -> Float[Array, "*pairs"]:
        return -jax.nn.log_sigmoid(self.beta * (chosen - rejected) - self.margin)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ORPOLoss(PreferenceLoss):
    """`orpo_loss` with its hyper-parameters, for recipes."""

    normalization: Reduction = "mean"

    reads_reference: ClassVar[bool] = False

    def certain(self, chosen: Float[Array, "*pairs"], rejected: Float[Array, "*pairs"], /) -> Float[Array, "*pairs"]:
        return -chosen - self.beta * jax.nn.log_sigmoid(_log_odds(chosen) - _log_odds(rejected))


def _log_odds(log_probs: Float[Array, "*pairs"]) -> Float[Array, "*pairs"]:
    possible = jnp.minimum(log_probs, -float(jnp.finfo(log_probs.dtype).eps))
    # Use -expm1, since 1 - exp(x) loses precision for small x.
    return possible - jnp.log(-jnp.expm1(possible))
