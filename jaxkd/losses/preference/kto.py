"""Kahneman-Tversky optimisation, on single answers that are desirable or not."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxkd.losses.preference.base import require_positive, wide
from jaxkd.losses.reduce import masked_mean


def kto_loss(
    log_ratios: Float[Array, "*answers"],
    desirable: Bool[Array, "*answers"],
    baseline: Float[Array, ""],
    *,
    beta: float = 0.1,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> Float[Array, "*answers"]:
    """Return 1 - sigmoid(beta (log_ratio - baseline)) if desirable, else sigmoid(beta (...)), each weighted.

    Args:
        log_ratios: log pi(y | x) - log pi_ref(y | x) of each answer, the sum over its tokens, in nats.
        desirable: whether each answer is desirable.
        baseline: reference point z_0 of the log-ratios, in nats: `kto_baseline`; gradient-stopped.
        beta: scale of the log-ratios, > 0.
        desirable_weight: weight of a desirable answer, > 0; lambda_D of the paper.
        undesirable_weight: weight of an undesirable answer, > 0; lambda_U.  For a data set with n and m of them, the
            paper recommends desirable_weight n / (undesirable_weight m) between 1 and 3/2.

    Returns:
        Per answer, float32 (float64 for float64 inputs), between 0 and its weight.

    Raises:
        ValueError: shapes that differ, or an option out of its range.

    Source: Ethayarajh et al. (arXiv 2402.01306), equation 8.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> kto_loss(jnp.array([2.0, -3.0]), jnp.array([True, False]), jnp.array(0.0)).round(4).tolist()
        [0.45019999146461487, 0.42559999227523804]
    """
    if desirable.shape != log_ratios.shape:
        raise ValueError(
            f"desirable must have the shape of log_ratios, got {desirable.shape} and {log_ratios.shape}. Give one "
            "value an answer."
        )
    for name, value in (
        ("beta", beta),
        ("desirable_weight", desirable_weight),
        ("undesirable_weight", undesirable_weight),
    ):
        require_positive(name, value)
    gain = beta * (wide(log_ratios) - jax.lax.stop_gradient(wide(baseline)))
    return jnp.where(desirable, desirable_weight * jax.nn.sigmoid(-gain), undesirable_weight * jax.nn.sigmoid(gain))


def kto_baseline(log_ratios: Float[Array, "*answers"], mask: Bool[Array, "*answers"]) -> Float[Array, ""]:
    """Return max(0, mean log_ratio) of mismatched answers: an estimate of KL(pi || pi_ref), without gradient.

    Args:
        log_ratios: log pi(y' | x) - log pi_ref(y' | x) with y' the answer to another prompt of the batch, in nats.
        mask: answers to count.

    Returns:
        One number, float32 (float64 for float64 inputs), >= 0; 0 if nothing is counted.

    Raises:
        ValueError: shapes that differ.

    Source: Ethayarajh et al. (arXiv 2402.01306), section 4.1, z_0 in practice.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> float(kto_baseline(jnp.array([3.0, -1.0]), jnp.ones(2, bool)))
        1.0
    """
    return jnp.maximum(0.0, masked_mean(jax.lax.stop_gradient(wide(log_ratios)), mask))
