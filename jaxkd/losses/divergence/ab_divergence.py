"""The alpha-beta divergence: a family that includes forward KL, reverse KL and Hellinger."""

import dataclasses
import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.kernels.divergence import GradientTo
from jaxkd.losses.divergence.base import Separable


def alpha_beta(
    student_logits: Float[Array, "*tokens v"],
    teacher_logits: Float[Array, "*tokens v"],
    *,
    temperature: float = 1.0,
    alpha: float = 0.2,
    beta: float = 0.7,
    gradient_to: GradientTo = "student",
) -> Float[Array, "*tokens"]:
    """Return sum_v [alpha p^s / s + beta q^s / s - p^alpha q^beta] / (alpha beta), with s = alpha + beta.

    At alpha = 0 or beta = 0 it is the limit.  alpha=1, beta=0 is `forward_kl`; alpha=0, beta=1 is
    `reverse_kl`; alpha = beta = 0.5 is 2 sum_v (sqrt p - sqrt q)^2, four times the squared Hellinger
    distance; alpha = beta = 1 is sum_v (p - q)^2 / 2.  A larger alpha weights tokens by the teacher's
    probability more, a larger beta by the student's.

    Args:
        student_logits: logits of any float dtype; gradients reach them.
        teacher_logits: logits over the same vocabulary; gradient-stopped by default.  -inf marks a padding row; on the
            student's side only, it makes the result +inf where beta = 0, on the teacher's side only, where alpha = 0.
        temperature: divides both logits, > 0.
        alpha: exponent of the teacher's probability in the product, >= 0.
        beta: exponent of the student's probability in the product, >= 0, not both 0.
        gradient_to: "both" lets the gradient reach teacher_logits too.

    Returns:
        Per position, float32 (float64 for float64 inputs), >= 0 up to rounding; in nats where
        alpha + beta = 1.

    Raises:
        ValueError: shapes that differ, a temperature that is not positive, a negative exponent, or
            two exponents of 0.

    Source: Cichocki et al. (Entropy 13, 2011) for the family, Wang et al., ABKD (arXiv 2505.04560) as a distillation
    loss; checked against ghwang-s/abkd@df81318.  Deviation: exponents are not negative here; -inf is a probability of
    0, while that code drops summands; the limits at 0 are those of the formula, while that code has alpha (or beta)
    times them, the same only at 1.  The sum uses expm1, because dividing a small difference by alpha beta would lose
    precision.

    Example:
        >>> import jax.numpy as jnp
        >>> student, teacher = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.75, 0.25]))
        >>> round(float(alpha_beta(student, teacher, alpha=1.0, beta=1.0)), 4)  # (0.25^2 + 0.25^2) / 2
        0.0625
    """
    return AlphaBeta(temperature=temperature, alpha=alpha, beta=beta, gradient_to=gradient_to)(
        student_logits, teacher_logits
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AlphaBeta(Separable):
    """`alpha_beta` with its hyper-parameters, for recipes and kernels."""

    alpha: float = 0.2
    beta: float = 0.7

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.alpha >= 0 and self.beta >= 0 and self.alpha + self.beta > 0):
            raise ValueError(
                f"alpha and beta must be >= 0 and not both 0, got alpha={self.alpha} and beta={self.beta}."
            )

    def summands(
        self, log_q: Float[Array, "*tokens v"], log_p: Float[Array, "*tokens v"], /
    ) -> Float[Array, "*tokens v"]:
        student_possible, teacher_possible = log_q != -jnp.inf, log_p != -jnp.inf
        both = student_possible & teacher_possible
        log_ratio = jnp.where(both, log_q, 0.0) - jnp.where(both, log_p, 0.0)
        # Divide by the larger of p and q, so that no exponential overflows.
        shared = jnp.where(
            log_ratio <= 0,
            _excess(log_p, jnp.minimum(log_ratio, 0.0), self.alpha, self.beta),
            _excess(log_q, jnp.minimum(-log_ratio, 0.0), self.beta, self.alpha),
        )
        only_teacher = jnp.where(teacher_possible & ~student_possible, _alone(log_p, self.alpha, self.beta), 0.0)
        only_student = jnp.where(student_possible & ~teacher_possible, _alone(log_q, self.beta, self.alpha), 0.0)
        return jnp.where(both, shared, 0.0) + only_teacher + only_student


def _excess(
    log_larger: Float[Array, "*tokens v"],
    log_ratio: Float[Array, "*tokens v"],
    own: float,
    other: float,
) -> Float[Array, "*tokens v"]:
    """Return one token's summand: larger^s / s * [e^(other x) g(own) - g(other)], with x = log_ratio <= 0.

    Here g(c) = (e^(cx) - 1) / c, and x at c = 0.  The definition's bracket over alpha beta becomes this
    one by e^(sx) - 1 = (e^(other x) - 1) + e^(other x) (e^(own x) - 1).
    """

    def growth(exponent: float) -> Float[Array, "*tokens v"]:
        return jnp.expm1(exponent * log_ratio) / exponent if exponent > 0 else log_ratio

    total = own + other
    bracket = jnp.exp(other * log_ratio) * growth(own) - growth(other)
    return jnp.exp(total * log_larger) / total * bracket


def _alone(log_probs: Float[Array, "*tokens v"], own: float, other: float) -> Float[Array, "*tokens v"]:
    """Return one token's summand where the other side has probability 0."""
    total = own + other
    power = jnp.exp(total * log_probs)
    return power / (total * other) if other > 0 else jnp.where(power > 0, math.inf, power)
