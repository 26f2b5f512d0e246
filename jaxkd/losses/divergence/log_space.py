"""Helpers of the divergences: comparable log-probabilities, relative entropy, mixtures.

Log-probabilities of -inf are legal everywhere here, in values and in gradients.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.kernels.divergence import GradientTo


def comparable_log_probs(
    student_logits: Float[Array, "*tokens v"],
    teacher_logits: Float[Array, "*tokens v"],
    temperature: float,
    gradient_to: GradientTo,
) -> tuple[Float[Array, "*tokens v"], Float[Array, "*tokens v"]]:
    """Return both log-probabilities, the teacher's gradient-stopped unless `gradient_to` is "both"."""
    if student_logits.shape != teacher_logits.shape:
        raise ValueError(
            f"teacher_logits must have the shape of student_logits, got {teacher_logits.shape} and "
            f"{student_logits.shape}. Different vocabularies must be aligned first."
        )
    return log_probs(student_logits, temperature), log_probs(differentiable(teacher_logits, gradient_to), temperature)


def differentiable(teacher_logits: Float[Array, "*tokens v"], gradient_to: GradientTo) -> Float[Array, "*tokens v"]:
    """Return the teacher's logits, gradient-stopped unless `gradient_to` is "both"."""
    return teacher_logits if gradient_to == "both" else jax.lax.stop_gradient(teacher_logits)


def log_probs(logits: Float[Array, "*tokens v"], temperature: float) -> Float[Array, "*tokens v"]:
    """Return the log-softmax in float32 or wider: log-sum-exp in bfloat16 loses up to 0.1 nat."""
    logits = logits.astype(jnp.promote_types(jnp.float32, logits.dtype))
    return jax.nn.log_softmax(logits / temperature, axis=-1)


def entropy_summands(log_a: Float[Array, "*tokens v"], log_b: Float[Array, "*tokens v"]) -> Float[Array, "*tokens v"]:
    """Return the summands a (log a - log b) of KL(a || b), where 0 (log 0 - log b) = 0."""
    a = jnp.exp(log_a)
    # 0 * (-inf - -inf) is NaN: replace both logs before the product, so that the gradient is finite too.
    possible = a > 0
    return a * (jnp.where(possible, log_a, 0.0) - jnp.where(possible, log_b, 0.0))


def log_mixture(
    log_a: Float[Array, "*tokens v"], log_b: Float[Array, "*tokens v"], share: float
) -> Float[Array, "*tokens v"]:
    """Return log(share a + (1 - share) b) for a share in [0, 1]."""
    log_a = log_a + (math.log(share) if share > 0 else -math.inf)
    log_b = log_b + (math.log1p(-share) if share < 1 else -math.inf)
    # logaddexp(-inf, -inf) is -inf, but its gradient is NaN.
    impossible = (log_a == -jnp.inf) & (log_b == -jnp.inf)
    mixed = jnp.logaddexp(jnp.where(impossible, 0.0, log_a), jnp.where(impossible, 0.0, log_b))
    return jnp.where(impossible, -jnp.inf, mixed)
