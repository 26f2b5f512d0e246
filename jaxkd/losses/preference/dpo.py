"""Direct preference optimisation, and variants for noisy labels."""

import dataclasses

import jax
from jaxtyping import Array, Float

from jaxkd.losses.preference.base import PreferenceLoss


def dpo_loss(
    chosen: Float[Array, "*pairs"],
    rejected: Float[Array, "*pairs"],
    *,
    beta: float = 0.1,
    label_smoothing: float = 0.0,
    probability: Float[Array, "*pairs"] | float = 1.0,
) -> Float[Array, "*pairs"]:
    """Return -p log sigmoid(beta d) - (1 - p) log sigmoid(-beta d) with d = chosen - rejected.

    If policy and reference are equal, it is log 2 with a gradient of beta / 2.  Reverse DPO is the same loss with the
    answers swapped, or with 1 - p.

    Args:
        chosen: log pi(y | x) - log pi_ref(y | x) of the better answer, in nats: summed over its tokens, or averaged for
            the length-normalised loss.
        rejected: the same for the other answer.
        beta: strength of the penalty for leaving the reference, > 0.
        label_smoothing: assumed share of wrong labels, in [0, 1/2).
        probability: p, probability that `chosen` is the better answer, in [0, 1]: 1 for a hard label.

    Returns:
        Per pair, float32 (float64 for float64 inputs), >= 0.

    Raises:
        ValueError: shapes that differ, or an option out of its range.

    Source: Rafailov et al. (arXiv 2305.18290), equation 7; conservative DPO (Mitchell, 2023, "A note on DPO with noisy
    preferences") for `label_smoothing`.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> round(float(dpo_loss(jnp.array(2.0), jnp.array(-3.0), beta=0.1)), 6)
        0.474077
    """
    return DPOLoss(beta=beta, label_smoothing=label_smoothing)(chosen, rejected, probability)


def robust_dpo_loss(
    chosen: Float[Array, "*pairs"],
    rejected: Float[Array, "*pairs"],
    *,
    beta: float = 0.1,
    label_smoothing: float = 0.1,
    probability: Float[Array, "*pairs"] | float = 1.0,
) -> Float[Array, "*pairs"]:
    """Return (-(1 - e) log sigmoid(beta d) + e log sigmoid(-beta d)) / (1 - 2 e) with d = chosen - rejected.

    If a share e of the labels is flipped at random, its expectation is the DPO loss of the correct labels.

    Args:
        chosen: log pi(y | x) - log pi_ref(y | x) of the better answer, in nats.
        rejected: the same for the other answer.
        beta: scale of the scores, > 0.
        label_smoothing: e, the share of wrong labels, in [0, 1/2); 0 gives `dpo_loss`.
        probability: probability that `chosen` is the better answer, in [0, 1], before label errors.

    Returns:
        Per pair, float32 (float64 for float64 inputs).  It has no lower bound: a learnt pair falls below 0.

    Raises:
        ValueError: shapes that differ, or an option out of its range.

    Source: Chowdhury, Kini & Natarajan (arXiv 2403.00409), the robust loss.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> round(float(robust_dpo_loss(jnp.array(2.0), jnp.array(-3.0))), 6)
        0.411577
    """
    return RobustDPOLoss(beta=beta, label_smoothing=label_smoothing)(chosen, rejected, probability)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DPOLoss(PreferenceLoss):
    """`dpo_loss` with its hyper-parameters, for recipes."""

    label_smoothing: float = 0.0
    """Assumed share of wrong labels, in [0, 1/2)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_minority(self.label_smoothing)

    def certain(self, chosen: Float[Array, "*pairs"], rejected: Float[Array, "*pairs"], /) -> Float[Array, "*pairs"]:
        margin, smoothing = self.beta * (chosen - rejected), self.label_smoothing
        if smoothing == 0:
            return -jax.nn.log_sigmoid(margin)
        return -(1 - smoothing) * jax.nn.log_sigmoid(margin) - smoothing * jax.nn.log_sigmoid(-margin)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RobustDPOLoss(PreferenceLoss):
    """`robust_dpo_loss` with its hyper-parameters, for recipes."""

    label_smoothing: float = 0.1
    """Share of wrong labels, in [0, 1/2)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_minority(self.label_smoothing)

    def certain(self, chosen: Float[Array, "*pairs"], rejected: Float[Array, "*pairs"], /) -> Float[Array, "*pairs"]:
        margin, smoothing = self.beta * (chosen - rejected), self.label_smoothing
        right, wrong = -jax.nn.log_sigmoid(margin), -jax.nn.log_sigmoid(-margin)
        return ((1 - smoothing) * right - smoothing * wrong) / (1 - 2 * smoothing)


def _require_minority(label_smoothing: float) -> None:
    if not 0 <= label_smoothing < 0.5:
        raise ValueError(
            f"label_smoothing must be in [0, 0.5), got {label_smoothing}. Where most labels are wrong, swap the "
            "answers."
        )
