"""Distances between probabilities, by token or by rank."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.kernels.divergence import GradientTo
from jaxkd.kernels.softmax.ranks import rank_distance
from jaxkd.losses.divergence.base import AnyDivergence, Separable
from jaxkd.losses.divergence.log_space import differentiable, log_probs


def total_variation(
    student_logits: Float[Array, "*tokens v"],
    teacher_logits: Float[Array, "*tokens v"],
    *,
    temperature: float = 1.0,
    gradient_to: GradientTo = "student",
) -> Float[Array, "*tokens"]:
    """Return sum_v abs(p - q) / 2: the largest difference in the probability of any event.

    Args:
        student_logits: logits of any float dtype; gradients reach them, 0 from tokens where p = q.
        teacher_logits: logits over the same vocabulary; gradient-stopped by default.  -inf marks a padding row, also on
            one side only.
        temperature: divides both logits, > 0.
        gradient_to: "both" lets the gradient reach teacher_logits too.

    Returns:
        Per position, float32 (float64 for float64 inputs), between 0 and 1, up to rounding.

    Raises:
        ValueError: shapes that differ, or a temperature that is not positive.

    Source: Wen et al. (arXiv 2307.15190), per token; the formula of songmzhang/KDFlow@3a7a21a.
    Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> student, teacher = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.75, 0.25]))
        >>> round(float(total_variation(student, teacher)), 4)
        0.25
    """
    return TotalVariation(temperature=temperature, gradient_to=gradient_to)(student_logits, teacher_logits)


def wasserstein_sorted(
    student_logits: Float[Array, "*tokens vs"],
    teacher_logits: Float[Array, "*tokens vt"],
    *,
    temperature: float = 1.0,
    gradient_to: GradientTo = "student",
) -> Float[Array, "*tokens"]:
    """Return sum_r abs(p_r - q_r) over ranks r, both probabilities sorted in descending order, in [0, 2].

    Tokens are matched by rank alone, so the vocabularies may differ and need no common token; the shorter one is padded
    with probability 0.  If all tokens are equally far apart, this is twice the Wasserstein distance under the best
    matching of the two vocabularies.

    Args:
        student_logits: logits of any float dtype; gradients reach them.
        teacher_logits: logits of the same positions, any vocabulary; gradient-stopped by default.  -inf marks a padding
            row, which is equivalent to omitting it.
        temperature: divides both logits, > 0.
        gradient_to: "both" lets the gradient reach teacher_logits too.

    Returns:
        Per position, float32 (float64 if either input is), between 0 and 2, up to rounding.

    Raises:
        ValueError: leading shapes that differ, or a temperature that is not positive.

    Source: Boizard et al., ULD (arXiv 2402.12030), the closed form of the Wasserstein term; the sum of
    songmzhang/DSKD@077337a.  Deviation: `temperature` is an option; ULD's is 1 by definition.

    Example:
        >>> import jax.numpy as jnp
        >>> student, teacher = jnp.log(jnp.array([0.25, 0.75])), jnp.log(jnp.array([0.1, 0.6, 0.3]))
        >>> round(float(wasserstein_sorted(student, teacher)), 4)  # |0.75 - 0.6| + |0.25 - 0.3| + |0 - 0.1|
        0.3
    """
    return WassersteinSorted(temperature=temperature, gradient_to=gradient_to)(student_logits, teacher_logits)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TotalVariation(Separable):
    """`total_variation` with its hyper-parameters, for recipes and kernels."""

    def summands(
        self, log_q: Float[Array, "*tokens v"], log_p: Float[Array, "*tokens v"], /
    ) -> Float[Array, "*tokens v"]:
        return jnp.abs(jnp.exp(log_p) - jnp.exp(log_q)) / 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class WassersteinSorted(AnyDivergence):
    """`wasserstein_sorted` with its hyper-parameters, for recipes and kernels."""

    def __call__(
        self, student_logits: Float[Array, "*tokens vs"], teacher_logits: Float[Array, "*tokens vt"], /
    ) -> Float[Array, "*tokens"]:
        if student_logits.shape[:-1] != teacher_logits.shape[:-1]:
            raise ValueError(
                f"teacher_logits must have the leading shape of student_logits, got {teacher_logits.shape} and "
                f"{student_logits.shape}. Only the vocabularies may differ: align the positions first."
            )
        student = jnp.exp(log_probs(student_logits, self.temperature))
        teacher = jnp.exp(log_probs(differentiable(teacher_logits, self.gradient_to), self.temperature))
        # Either may be float64.
        precision = jnp.promote_types(student.dtype, teacher.dtype)
        return rank_distance(student.astype(precision), teacher.astype(precision))
