"""Divergences between a student's and a teacher's next-token distributions."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


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
    _require_comparable(student_logits, teacher_logits, temperature)
    student_log_probs = _log_probs(student_logits, temperature)
    teacher_log_probs = _log_probs(jax.lax.stop_gradient(teacher_logits), temperature)
    teacher_probs = jnp.exp(teacher_log_probs)
    # 0 * (-inf - -inf) is NaN: both logs are replaced before the product, so the gradient is clean too.
    possible = teacher_probs > 0
    difference = jnp.where(possible, teacher_log_probs, 0.0) - jnp.where(possible, student_log_probs, 0.0)
    return jnp.sum(teacher_probs * difference, axis=-1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ForwardKL:
    """`forward_kl` with its hyper-parameters, as recipes and kernels take it."""

    temperature: float = 1.0

    def __call__(
        self, student_logits: Float[Array, "*tokens v"], teacher_logits: Float[Array, "*tokens v"], /
    ) -> Float[Array, "*tokens"]:
        return forward_kl(student_logits, teacher_logits, temperature=self.temperature)


def _log_probs(logits: Float[Array, "*tokens v"], temperature: float) -> Float[Array, "*tokens v"]:
    """Log-softmax in float32 or wider: log-sum-exp in bfloat16 loses up to 0.1 nat."""
    logits = logits.astype(jnp.promote_types(jnp.float32, logits.dtype))
    return jax.nn.log_softmax(logits / temperature, axis=-1)


def _require_comparable(student_logits: Array, teacher_logits: Array, temperature: float) -> None:
    if student_logits.shape != teacher_logits.shape:
        raise ValueError(
            f"teacher_logits must have the shape of student_logits, got {teacher_logits.shape} and "
            f"{student_logits.shape}. Different vocabularies must be aligned first."
        )
    if not temperature > 0:
        raise ValueError(f"temperature must be > 0, got {temperature}.")
