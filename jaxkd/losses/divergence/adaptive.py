"""The adaptive KL divergence: forward and reverse KL, weighted by where student and teacher differ."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.kernels.divergence import GradientTo
from jaxkd.losses.divergence.base import AnyDivergence
from jaxkd.losses.divergence.log_space import comparable_log_probs, entropy_summands


def adaptive_kl(
    student_logits: Float[Array, "*tokens v"],
    teacher_logits: Float[Array, "*tokens v"],
    *,
    temperature: float = 1.0,
    tail_mass: float = 0.5,
    gradient_to: GradientTo = "student",
) -> Float[Array, "*tokens"]:
    """Return h KL(p || q) + (1 - h) KL(q || p), in nats, with h the head's share of sum_v abs(p - q).

    The tail is the largest set of the teacher's least likely tokens whose probabilities sum to at most `tail_mass`; the
    head is the rest.  Where p = q, h = 1/2.  h is gradient-stopped, so this is not the gradient of the value: finite
    differences do not reproduce it.  It sorts the teacher's vocabulary once per position.

    Args:
        student_logits: logits of any float dtype; gradients reach them through the two KLs.
        teacher_logits: logits over the same vocabulary; gradient-stopped by default.  -inf marks a padding row.
            Ties at the border are ordered by token id.
        temperature: divides both logits, > 0.
        tail_mass: largest probability of the tail, in [0, 1].
        gradient_to: "both" lets the gradient reach teacher_logits too.

    Returns:
        Per position, float32 (float64 for float64 inputs), between `forward_kl` and `reverse_kl`.

    Raises:
        ValueError: shapes that differ, a temperature that is not positive, or a tail_mass outside [0, 1].

    Source: Wu et al. (arXiv 2404.02657), the adaptive KL divergence; the split of songmzhang/DSKD@077337a.
    Deviation: that code gives NaN where p = q exactly; here h = 1/2.

    Example:
        >>> import jax.numpy as jnp
        >>> student = jnp.log(jnp.array([0.6, 0.3, 0.1]))
        >>> teacher = jnp.log(jnp.array([0.7, 0.1, 0.2]))  # the tail is the last two tokens
        >>> round(float(adaptive_kl(student, teacher)), 4)  # h = 0.1 / 0.4
        0.16
    """
    return AdaptiveKL(temperature=temperature, tail_mass=tail_mass, gradient_to=gradient_to)(
        student_logits, teacher_logits
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdaptiveKL(AnyDivergence):
    """`adaptive_kl` with its hyper-parameters, for recipes and kernels."""

    tail_mass: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.tail_mass <= 1:
            raise ValueError(f"tail_mass must be a probability in [0, 1], got {self.tail_mass}.")

    def __call__(
        self, student_logits: Float[Array, "*tokens v"], teacher_logits: Float[Array, "*tokens v"], /
    ) -> Float[Array, "*tokens"]:
        log_q, log_p = comparable_log_probs(student_logits, teacher_logits, self.temperature, self.gradient_to)
        q, p = jax.lax.stop_gradient((jnp.exp(log_q), jnp.exp(log_p)))
        head = _head_share(q, p, self.tail_mass)
        forward = jnp.sum(entropy_summands(log_p, log_q), axis=-1)
        reverse = jnp.sum(entropy_summands(log_q, log_p), axis=-1)
        # A share of 0 drops its KL even if that is infinite.
        return jnp.where(head == 0, 0.0, head * forward) + jnp.where(head == 1, 0.0, (1 - head) * reverse)


def _head_share(
    student: Float[Array, "*tokens v"], teacher: Float[Array, "*tokens v"], tail_mass: float
) -> Float[Array, "*tokens"]:
    """Return the head's share of the difference of the probabilities; 1/2 if there is no difference."""
    order = jnp.argsort(teacher, axis=-1)
    tail = jnp.cumsum(jnp.take_along_axis(teacher, order, axis=-1), axis=-1) <= tail_mass
    gaps = jnp.take_along_axis(jnp.abs(teacher - student), order, axis=-1)
    head_gap, gap = jnp.sum(jnp.where(tail, 0.0, gaps), axis=-1), jnp.sum(gaps, axis=-1)
    return jnp.where(gap == 0, 0.5, head_gap / jnp.where(gap == 0, 1.0, gap))
