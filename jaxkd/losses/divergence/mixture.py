"""Divergences to a mixture of teacher and student: bounded, and finite where a KL is infinite."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.kernels.divergence import GradientTo
from jaxkd.losses.divergence.base import Separable
from jaxkd.losses.divergence.log_space import entropy_summands, log_mixture

Pair = tuple[Float[Array, "*tokens v"], Float[Array, "*tokens v"]]


def jensen_shannon(
    student_logits: Float[Array, "*tokens v"],
    teacher_logits: Float[Array, "*tokens v"],
    *,
    temperature: float = 1.0,
    beta: float = 0.5,
    gradient_to: GradientTo = "student",
) -> Float[Array, "*tokens"]:
    """Return JS_beta = beta KL(p || m) + (1 - beta) KL(q || m) with m = beta p + (1 - beta) q, in nats.

    `beta` is the teacher's share, p the teacher and q the student.  The divergence itself vanishes at
    both ends; divided by beta it tends to `forward_kl` for beta -> 0, divided by 1 - beta it tends to
    `reverse_kl` for beta -> 1.  beta = 0.5 is the Jensen-Shannon divergence proper.

    Args:
        student_logits: logits of any float dtype; gradients reach them.
        teacher_logits: logits over the same vocabulary; gradient-stopped by default.  -inf marks a padding row,
            also on one side only.
        temperature: divides both logits, > 0.
        beta: the teacher's share in the mixture, in (0, 1).
        gradient_to: "both" lets the gradient reach teacher_logits too.

    Returns:
        Per position, float32 (float64 for float64 inputs), between 0 and the entropy of
        (beta, 1 - beta), at most log 2, up to rounding.

    Raises:
        ValueError: shapes that differ, a temperature that is not positive, or beta outside (0, 1).

    Source: Agarwal et al., GKD (arXiv 2306.13649), equation of the generalised divergence; beta = 0.5 is
    the js_divergence of songmzhang/DSKD@077337a.  Deviation: that code adds 1e-9 inside each logarithm and
    drops summands with an infinite logit; here the mixture is formed in log space, nothing is added and -inf is
    a probability of 0.

    Example:
        >>> import jax.numpy as jnp
        >>> student, teacher = jnp.array([0.0, -jnp.inf]), jnp.array([-jnp.inf, 0.0])
        >>> round(float(jensen_shannon(student, teacher)), 4)  # log 2: nothing in common
        0.6931
    """
    return JensenShannon(temperature=temperature, beta=beta, gradient_to=gradient_to)(student_logits, teacher_logits)


def skew_forward_kl(
    student_logits: Float[Array, "*tokens v"],
    teacher_logits: Float[Array, "*tokens v"],
    *,
    temperature: float = 1.0,
    skew: float = 0.1,
    gradient_to: GradientTo = "student",
) -> Float[Array, "*tokens"]:
    """Return KL(p || skew p + (1 - skew) q), in nats: `forward_kl` to the student mixed with the teacher.

    Args:
        student_logits: logits of any float dtype; gradients reach them.
        teacher_logits: logits over the same vocabulary; gradient-stopped by default.  -inf marks a padding row, also on
            one side only if skew > 0.
        temperature: divides both logits, > 0.
        skew: the teacher's share in the mixture, in [0, 1); 0 is `forward_kl`.
        gradient_to: "both" lets the gradient reach teacher_logits too.

    Returns:
        Per position, float32 (float64 for float64 inputs), between 0 and -log(skew), up to rounding.

    Raises:
        ValueError: shapes that differ, a temperature that is not positive, or a skew outside [0, 1).

    Source: Ko et al., DistiLLM (arXiv 2402.03898), the skew KL divergence; the formula of
    songmzhang/DSKD@077337a.  Deviation: that code drops summands with an infinite logit; here the
    mixture is formed in log space, which does not underflow, and -inf is a probability of 0.

    Example:
        >>> import jax.numpy as jnp
        >>> student, teacher = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.75, 0.25]))
        >>> round(float(skew_forward_kl(student, teacher, skew=0.1)), 4)
        0.107
    """
    return SkewForwardKL(temperature=temperature, skew=skew, gradient_to=gradient_to)(student_logits, teacher_logits)


def skew_reverse_kl(
    student_logits: Float[Array, "*tokens v"],
    teacher_logits: Float[Array, "*tokens v"],
    *,
    temperature: float = 1.0,
    skew: float = 0.1,
    gradient_to: GradientTo = "student",
) -> Float[Array, "*tokens"]:
    """Return KL(q || (1 - skew) p + skew q), in nats: `reverse_kl` to the teacher mixed with the student.

    The gradient flows through both occurrences of q.

    Args:
        student_logits: logits of any float dtype; gradients reach them.
        teacher_logits: logits over the same vocabulary; gradient-stopped by default.  -inf marks a padding row, also on
            one side only if skew > 0.
        temperature: divides both logits, > 0.
        skew: the student's share in the mixture, in [0, 1); 0 is `reverse_kl`.
        gradient_to: "both" lets the gradient reach teacher_logits too.

    Returns:
        Per position, float32 (float64 for float64 inputs), between 0 and -log(skew), up to rounding.

    Raises:
        ValueError: shapes that differ, a temperature that is not positive, or a skew outside [0, 1).

    Source: Ko et al., DistiLLM (arXiv 2402.03898), the skew reverse KL divergence; the formula of
    songmzhang/DSKD@077337a.  Deviation: that code drops summands with an infinite logit; here the
    mixture is formed in log space, which does not underflow, and -inf is a probability of 0.

    Example:
        >>> import jax.numpy as jnp
        >>> student, teacher = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.75, 0.25]))
        >>> round(float(skew_reverse_kl(student, teacher, skew=0.1)), 4)
        0.1131
    """
    return SkewReverseKL(temperature=temperature, skew=skew, gradient_to=gradient_to)(student_logits, teacher_logits)


@dataclasses.dataclass(frozen=True, kw_only=True)
class JensenShannon(Separable):
    """`jensen_shannon` with its hyper-parameters, for recipes and kernels."""

    beta: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.beta < 1:
            raise ValueError(
                f"beta must be in (0, 1), got {self.beta}. The divergence is 0 at the ends: use forward_kl, its scaled "
                "limit at 0, or reverse_kl, its scaled limit at 1."
            )

    def summands(
        self, log_q: Float[Array, "*tokens v"], log_p: Float[Array, "*tokens v"], /
    ) -> Float[Array, "*tokens v"]:
        return _jensen_shannon_summands(self.beta, log_q, log_p)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SkewForwardKL(Separable):
    """`skew_forward_kl` with its hyper-parameters, for recipes and kernels."""

    skew: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_skew(self.skew)

    def summands(
        self, log_q: Float[Array, "*tokens v"], log_p: Float[Array, "*tokens v"], /
    ) -> Float[Array, "*tokens v"]:
        return _skew_summands(self.skew, log_p, log_q)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SkewReverseKL(Separable):
    """`skew_reverse_kl` with its hyper-parameters, for recipes and kernels."""

    skew: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_skew(self.skew)

    def summands(
        self, log_q: Float[Array, "*tokens v"], log_p: Float[Array, "*tokens v"], /
    ) -> Float[Array, "*tokens v"]:
        return _skew_summands(self.skew, log_q, log_p)


def _require_skew(skew: float) -> None:
    if not 0 <= skew < 1:
        raise ValueError(f"skew must be in [0, 1), got {skew}. At 1 a distribution is compared with itself.")


# The derivatives are explicit: autodiff through the logarithm of the mixture adds terms that cancel, at twice the work.


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _jensen_shannon_summands(
    beta: float, log_q: Float[Array, "*tokens v"], log_p: Float[Array, "*tokens v"]
) -> Float[Array, "*tokens v"]:
    student, teacher = _jensen_shannon_parts(beta, log_q, log_p)
    return student + teacher


@_jensen_shannon_summands.defjvp
def _jensen_shannon_jvp(beta: float, primals: Pair, tangents: Pair) -> Pair:
    """Return the tangent; each part is the derivative of the sum by its own logarithm."""
    student, teacher = _jensen_shannon_parts(beta, *primals)
    return student + teacher, student * tangents[0] + teacher * tangents[1]


def _jensen_shannon_parts(beta: float, log_q: Float[Array, "*tokens v"], log_p: Float[Array, "*tokens v"]) -> Pair:
    """Return (1 - beta) q (log q - log m) and beta p (log p - log m)."""
    mixture = log_mixture(log_p, log_q, beta)
    return (1 - beta) * entropy_summands(log_q, mixture), beta * entropy_summands(log_p, mixture)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _skew_summands(
    share: float, log_a: Float[Array, "*tokens v"], log_b: Float[Array, "*tokens v"]
) -> Float[Array, "*tokens v"]:
    """Return the summands a (log a - log m) of KL(a || m), with m = share a + (1 - share) b."""
    return entropy_summands(log_a, log_mixture(log_a, log_b, share))


@_skew_summands.defjvp
def _skew_jvp(share: float, primals: Pair, tangents: Pair) -> Pair:
    """Return the tangent; the derivative by log b is -a (1 - share) b / m, by log a the value minus that."""
    log_a, log_b = primals
    mixture = log_mixture(log_a, log_b, share)
    value = entropy_summands(log_a, mixture)
    impossible = log_b == -jnp.inf
    part = jnp.exp(jnp.where(impossible, 0.0, log_b - mixture) + math.log1p(-share))
    slope = -jnp.exp(log_a) * jnp.where(impossible, 0.0, part)
    return value, (value - slope) * tangents[0] + slope * tangents[1]
