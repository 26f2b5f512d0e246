"""Kullback-Leibler divergences: forward, reverse, and their mean."""

import dataclasses

from jaxtyping import Array, Float

from jaxkd.losses.divergence.log_space import comparable_log_probs, relative_entropy


def forward_kl(
    student_logits: Float[Array, "*tokens v"],
    teacher_logits: Float[Array, "*tokens v"],
    *,
    temperature: float = 1.0,
) -> Float[Array, "*tokens"]:
    """KL(teacher || student) = sum_v p (log p - log q), in nats, at `temperature`.

    No temperature^2 factor is applied: scale the result where a method asks for it.

    Args:
        student_logits: any float dtype; gradients reach them.
        teacher_logits: same vocabulary; gradient-stopped.  -inf marks a row that is not a token;
            such a row adds nothing, and the result is +inf where only the student has -inf.
        temperature: divides both logits, > 0.

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
    student, teacher = comparable_log_probs(student_logits, teacher_logits, temperature)
    return relative_entropy(teacher, student)


def reverse_kl(
    student_logits: Float[Array, "*tokens v"],
    teacher_logits: Float[Array, "*tokens v"],
    *,
    temperature: float = 1.0,
) -> Float[Array, "*tokens"]:
    """KL(student || teacher) = sum_v q (log q - log p), in nats, at `temperature`.

    No temperature^2 factor is applied.

    Args:
        student_logits: any float dtype; gradients reach them.
        teacher_logits: same vocabulary; gradient-stopped.  -inf marks a row that is not a token;
            where only the teacher has -inf the result is +inf and so is its gradient.
        temperature: divides both logits, > 0.

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
    student, teacher = comparable_log_probs(student_logits, teacher_logits, temperature)
    return relative_entropy(student, teacher)


def symmetric_kl(
    student_logits: Float[Array, "*tokens v"],
    teacher_logits: Float[Array, "*tokens v"],
    *,
    temperature: float = 1.0,
) -> Float[Array, "*tokens"]:
    """KL(p || q) / 2 + KL(q || p) / 2, in nats: the mean of `forward_kl` and `reverse_kl`.

    Args:
        student_logits: any float dtype; gradients reach them.
        teacher_logits: same vocabulary; gradient-stopped.  -inf marks a row that is not a token;
            the result is +inf where only one side has -inf.
        temperature: divides both logits, > 0.

    Returns:
        Per position, float32 (float64 for float64 inputs), >= 0 up to rounding.

    Raises:
        ValueError: shapes that differ, or a temperature that is not positive.

    Source: Jeffreys (1946), inferred as a distillation loss.  Deviation: half of Jeffreys' sum, so that
    it is on the scale of either direction.

    Example:
        >>> import jax.numpy as jnp
        >>> student, teacher = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.75, 0.25]))
        >>> round(float(symmetric_kl(student, teacher)), 4)
        0.1373
    """
    student, teacher = comparable_log_probs(student_logits, teacher_logits, temperature)
    return (relative_entropy(teacher, student) + relative_entropy(student, teacher)) / 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class ForwardKL:
    """`forward_kl` with its hyper-parameters, as recipes and kernels take it."""

    temperature: float = 1.0

    def __call__(
        self, student_logits: Float[Array, "*tokens v"], teacher_logits: Float[Array, "*tokens v"], /
    ) -> Float[Array, "*tokens"]:
        return forward_kl(student_logits, teacher_logits, temperature=self.temperature)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReverseKL:
    """`reverse_kl` with its hyper-parameters, as recipes and kernels take it."""

    temperature: float = 1.0

    def __call__(
        self, student_logits: Float[Array, "*tokens v"], teacher_logits: Float[Array, "*tokens v"], /
    ) -> Float[Array, "*tokens"]:
        return reverse_kl(student_logits, teacher_logits, temperature=self.temperature)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SymmetricKL:
    """`symmetric_kl` with its hyper-parameters, as recipes and kernels take it."""

    temperature: float = 1.0

    def __call__(
        self, student_logits: Float[Array, "*tokens v"], teacher_logits: Float[Array, "*tokens v"], /
    ) -> Float[Array, "*tokens"]:
        return symmetric_kl(student_logits, teacher_logits, temperature=self.temperature)
