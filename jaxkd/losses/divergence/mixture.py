"""Divergences to a mixture of teacher and student: bounded, and finite where a KL is not."""

import dataclasses

from jaxtyping import Array, Float

from jaxkd.losses.divergence.log_space import comparable_log_probs, log_mixture, relative_entropy


def jensen_shannon(
    student_logits: Float[Array, "*tokens v"],
    teacher_logits: Float[Array, "*tokens v"],
    *,
    temperature: float = 1.0,
    beta: float = 0.5,
) -> Float[Array, "*tokens"]:
    """JS_beta = beta KL(p || m) + (1 - beta) KL(q || m) with m = beta p + (1 - beta) q, in nats.

    `beta` is the teacher's share, p the teacher and q the student.  The divergence itself vanishes at
    both ends; divided by beta it tends to `forward_kl` for beta -> 0, divided by 1 - beta it tends to
    `reverse_kl` for beta -> 1.  beta = 0.5 is the Jensen-Shannon divergence proper.

    Args:
        student_logits: any float dtype; gradients reach them.
        teacher_logits: same vocabulary; gradient-stopped.  -inf marks a row that is not a token, and
            may do so on one side only.
        temperature: divides both logits, > 0.
        beta: in (0, 1).

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
    if not 0 < beta < 1:
        raise ValueError(
            f"beta must be in (0, 1), got {beta}. The divergence is 0 at the ends: use forward_kl, its scaled limit "
            "at 0, or reverse_kl, its scaled limit at 1."
        )
    student, teacher = comparable_log_probs(student_logits, teacher_logits, temperature)
    mixture = log_mixture(teacher, student, beta)
    return beta * relative_entropy(teacher, mixture) + (1 - beta) * relative_entropy(student, mixture)


def skew_forward_kl(
    student_logits: Float[Array, "*tokens v"],
    teacher_logits: Float[Array, "*tokens v"],
    *,
    temperature: float = 1.0,
    skew: float = 0.1,
) -> Float[Array, "*tokens"]:
    """KL(p || skew p + (1 - skew) q), in nats: `forward_kl` to a student that is helped by the teacher.

    Args:
        student_logits: any float dtype; gradients reach them.
        teacher_logits: same vocabulary; gradient-stopped.  -inf marks a row that is not a token, and
            may do so on one side only where skew > 0.
        temperature: divides both logits, > 0.
        skew: the teacher's share in the mixture, in [0, 1); 0 is `forward_kl`.

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
    _require_skew(skew)
    student, teacher = comparable_log_probs(student_logits, teacher_logits, temperature)
    return relative_entropy(teacher, log_mixture(teacher, student, skew))


def skew_reverse_kl(
    student_logits: Float[Array, "*tokens v"],
    teacher_logits: Float[Array, "*tokens v"],
    *,
    temperature: float = 1.0,
    skew: float = 0.1,
) -> Float[Array, "*tokens"]:
    """KL(q || (1 - skew) p + skew q), in nats: `reverse_kl` to a teacher that is mixed with the student.

    The gradient flows through both places of q.

    Args:
        student_logits: any float dtype; gradients reach them.
        teacher_logits: same vocabulary; gradient-stopped.  -inf marks a row that is not a token, and
            may do so on one side only where skew > 0.
        temperature: divides both logits, > 0.
        skew: the student's share in the mixture, in [0, 1); 0 is `reverse_kl`.

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
    _require_skew(skew)
    student, teacher = comparable_log_probs(student_logits, teacher_logits, temperature)
    return relative_entropy(student, log_mixture(student, teacher, skew))


@dataclasses.dataclass(frozen=True, kw_only=True)
class JensenShannon:
    """`jensen_shannon` with its hyper-parameters, as recipes and kernels take it."""

    temperature: float = 1.0
    beta: float = 0.5

    def __call__(
        self, student_logits: Float[Array, "*tokens v"], teacher_logits: Float[Array, "*tokens v"], /
    ) -> Float[Array, "*tokens"]:
        return jensen_shannon(student_logits, teacher_logits, temperature=self.temperature, beta=self.beta)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SkewForwardKL:
    """`skew_forward_kl` with its hyper-parameters, as recipes and kernels take it."""

    temperature: float = 1.0
    skew: float = 0.1

    def __call__(
        self, student_logits: Float[Array, "*tokens v"], teacher_logits: Float[Array, "*tokens v"], /
    ) -> Float[Array, "*tokens"]:
        return skew_forward_kl(student_logits, teacher_logits, temperature=self.temperature, skew=self.skew)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SkewReverseKL:
    """`skew_reverse_kl` with its hyper-parameters, as recipes and kernels take it."""

    temperature: float = 1.0
    skew: float = 0.1

    def __call__(
        self, student_logits: Float[Array, "*tokens v"], teacher_logits: Float[Array, "*tokens v"], /
    ) -> Float[Array, "*tokens"]:
        return skew_reverse_kl(student_logits, teacher_logits, temperature=self.temperature, skew=self.skew)


def _require_skew(skew: float) -> None:
    if not 0 <= skew < 1:
        raise ValueError(f"skew must be in [0, 1), got {skew}. At 1 a distribution is compared with itself.")
