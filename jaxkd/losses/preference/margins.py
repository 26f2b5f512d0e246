"""Losses that require a fixed margin between two answers: hinge and IPO."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.losses.preference.base import PreferenceLoss
from jaxkd.losses.reduce import Reduction


def hinge_loss(
    chosen: Float[Array, "*pairs"],
    rejected: Float[Array, "*pairs"],
    *,
    beta: float = 0.1,
    probability: Float[Array, "*pairs"] | float = 1.0,
) -> Float[Array, "*pairs"]:
    """Return max(0, 1 - beta (chosen - rejected)).

    Args:
        chosen: log pi(y | x) - log pi_ref(y | x) of the better answer, in nats.
        rejected: the same for the other answer.
        beta: > 0; the required margin is 1 / beta nats.
        probability: probability that `chosen` is the better answer, in [0, 1]: 1 for a hard label.

    Returns:
        Per pair, float32 (float64 for float64 inputs), >= 0.

    Raises:
        ValueError: shapes that differ, or an option out of its range.

    Source: Liu et al., RSO (arXiv 2309.06657), the hinge loss on normalised likelihoods, after SLiC (arXiv 2305.10425).
    Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> round(float(hinge_loss(jnp.array(2.0), jnp.array(-3.0))), 6)
        0.5
    """
    return HingeLoss(beta=beta)(chosen, rejected, probability)


def ipo_loss(
    chosen: Float[Array, "*pairs"],
    rejected: Float[Array, "*pairs"],
    *,
    beta: float = 0.1,
    probability: Float[Array, "*pairs"] | float = 1.0,
) -> Float[Array, "*pairs"]:
    """Return (chosen - rejected - 1 / (2 beta))^2: the required margin is exactly 1 / (2 beta) nats.

    Args:
        chosen: log pi(y | x) - log pi_ref(y | x) of the better answer, in nats: summed over its tokens, as in the
            paper, or averaged.  The margin is in the same unit, so beta has a different meaning in each.
        rejected: the same for the other answer.
        beta: tau of the paper, > 0.
        probability: probability that `chosen` is the better answer, in [0, 1]: 1 for a hard label.

    Returns:
        Per pair, float32 (float64 for float64 inputs), >= 0.

    Raises:
        ValueError: shapes that differ, or an option out of its range.

    Source: Azar et al. (arXiv 2310.12036), equation 17.  The DPO repository takes sums, TRL means and names its authors
    as the source.  Deviation: none; the caller decides.

    Example:
        >>> import jax.numpy as jnp
        >>> round(float(ipo_loss(jnp.array(2.0), jnp.array(-2.0))), 6)
        1.0
    """
    return IPOLoss(beta=beta, normalization="sum")(chosen, rejected, probability)


@dataclasses.dataclass(frozen=True, kw_only=True)
class HingeLoss(PreferenceLoss):
    """`hinge_loss` with its hyper-parameters, for recipes."""

    def certain(self, chosen: Float[Array, "*pairs"], rejected: Float[Array, "*pairs"], /) -> Float[Array, "*pairs"]:
        return jnp.maximum(0.0, 1 - self.beta * (chosen - rejected))


@dataclasses.dataclass(frozen=True, kw_only=True)
class IPOLoss(PreferenceLoss):
    """`ipo_loss` with its hyper-parameters, for recipes."""

    normalization: Reduction = dataclasses.field()
    """Required, because implementations differ: "sum" as in the paper and the DPO repository, or "mean" as in TRL."""

    def certain(self, chosen: Float[Array, "*pairs"], rejected: Float[Array, "*pairs"], /) -> Float[Array, "*pairs"]:
        return jnp.square(chosen - rejected - 1 / (2 * self.beta))
