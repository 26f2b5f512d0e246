"""Kullback-Leibler divergences: forward, reverse, and their mean."""

import dataclasses

from jaxtyping import Array, Float

from jaxkd.kernels.divergence import GradientTo
from jaxkd.losses.divergence.base import Separable
from jaxkd.losses.divergence.log_space import entropy_summands


def forward_kl(
    student_logits: Float[Array, "*tokens v"],
    teacher_logits: Float[Array, "*tokens v"],
    *,
    temperature: float = 1.0,
    gradient_to: GradientTo = "student",
) -> Float[Array, "*tokens"]:
    """Return KL(teacher || student) = sum_v p (log p - log q), in nats, at `temperature`.

    No temperature^2 factor is applied: scale the result if a method requires it.

    Args:
        student_logits: logits of any float dtype; gradients reach them.
        teacher_logits: logits over the same vocabulary; gradient-stopped by default.  -inf marks a padding row; such a
            row adds nothing, and the result is +inf where only the student has -inf.
        temperature: divides both logits, > 0.
        gradient_to: "both" lets the gradient reach teacher_logits too.

    Returns:
        Per position, float32 (float64 for float64 inputs), >= 0 up to rounding.

    Raises:
        ValueError: shapes that differ, or a temperature that is not positive.

    Source: Hinton et al. (arXiv 1503.02531), section 2, as a divergence.  Checked against
    songmzhang/DSKD@077337a.  Deviation: that code replaces infinite and NaN logits by 0; here -inf
    is a legal value and NaN stays NaN.

    Example:
        >>> import jax.numpy as jnp
        >>> student, teacher = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.75, 0.25]))
        >>> round(float(forward_kl(student, teacher)), 4)
        0.1308
    """
    return ForwardKL(temperature=temperature, gradient_to=gradient_to)(student_logits, teacher_logits)


def reverse_kl(
    student_logits: Float[Array, "*tokens v"],
    teacher_logits: Float[Array, "*tokens v"],
    *,
    temperature: float = 1.0,
    gradient_to: GradientTo = "student",
) -> Float[Array, "*tokens"]:
    """Return KL(student || teacher) = sum_v q (log q - log p), in nats, at `temperature`.

    No temperature^2 factor is applied.

    Args:
        student_logits: logits of any float dtype; gradients reach them.
        teacher_logits: logits over the same vocabulary; gradient-stopped by default.  -inf marks a padding row; where
            only the teacher has -inf the result is +inf and so is its gradient.
        temperature: divides both logits, > 0.
        gradient_to: "both" lets the gradient reach teacher_logits too.

    Returns:
        Per position, float32 (float64 for float64 inputs), >= 0 up to rounding.

    Raises:
        ValueError: shapes that differ, or a temperature that is not positive.

    Source: Gu et al., MiniLLM (arXiv 2306.08543), per token instead of per sequence; the formula of
    songmzhang/DSKD@077337a.  Deviation: that code drops summands with an infinite logit; here -inf is
    a legal value and NaN stays NaN.

    Example:
        >>> import jax.numpy as jnp
        >>> student, teacher = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.75, 0.25]))
        >>> round(float(reverse_kl(student, teacher)), 4)
        0.1438
    """
    return ReverseKL(temperature=temperature, gradient_to=gradient_to)(student_logits, teacher_logits)


def symmetric_kl(
    student_logits: Float[Array, "*tokens v"],
    teacher_logits: Float[Array, "*tokens v"],
    *,
    temperature: float = 1.0,
    gradient_to: GradientTo = "student",
) -> Float[Array, "*tokens"]:
    """Return KL(p || q) / 2 + KL(q || p) / 2, in nats: the mean of `forward_kl` and `reverse_kl`.

    Args:
        student_logits: logits of any float dtype; gradients reach them.
        teacher_logits: logits over the same vocabulary; gradient-stopped by default.  -inf marks a padding row; the
            result is +inf where only one side has -inf.
        temperature: divides both logits, > 0.
        gradient_to: "both" lets the gradient reach teacher_logits too.

    Returns:
        Per position, float32 (float64 for float64 inputs), >= 0 up to rounding.

    Raises:
        ValueError: shapes that differ, or a temperature that is not positive.

    Source: Jeffreys (1946), inferred as a distillation loss.  Deviation: half of Jeffreys' sum, so that it has the
    scale of either direction.

    Example:
        >>> import jax.numpy as jnp
        >>> student, teacher = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.75, 0.25]))
        >>> round(float(symmetric_kl(student, teacher)), 4)
        0.1373
    """
    return SymmetricKL(temperature=temperature, gradient_to=gradient_to)(student_logits, teacher_logits)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ForwardKL(Separable):
    """`forward_kl` with its hyper-parameters, for recipes and kernels."""

    @property
    def kl_shares(self) -> tuple[float, float]:
        """Return the shares of KL(p || q) and KL(q || p)."""
        return 1.0, 0.0

    def summands(
        self, log_q: Float[Array, "*tokens v"], log_p: Float[Array, "*tokens v"], /
    ) -> Float[Array, "*tokens v"]:
        return entropy_summands(log_p, log_q)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReverseKL(Separable):
    """`reverse_kl` with its hyper-parameters, for recipes and kernels."""

    @property
    def kl_shares(self) -> tuple[float, float]:
        """Return the shares of KL(p || q) and KL(q || p)."""
        return 0.0, 1.0

    def summands(
        self, log_q: Float[Array, "*tokens v"], log_p: Float[Array, "*tokens v"], /
    ) -> Float[Array, "*tokens v"]:
        return entropy_summands(log_q, log_p)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SymmetricKL(Separable):
    """`symmetric_kl` with its hyper-parameters, for recipes and kernels."""

    @property
    def kl_shares(self) -> tuple[float, float]:
        """Return the shares of KL(p || q) and KL(q || p)."""
        return 0.5, 0.5

    def summands(
        self, log_q: Float[Array, "*tokens v"], log_p: Float[Array, "*tokens v"], /
    ) -> Float[Array, "*tokens v"]:
        return (entropy_summands(log_p, log_q) + entropy_summands(log_q, log_p)) / 2
