"""Hybrid distance from hidden states: shared tokens compared by token, the others by rank."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxkd.kernels.chunks.hybrid_chunk import LOG_SCALES, HybridChunk
from jaxkd.kernels.divergence import SeparableDivergence
from jaxkd.kernels.fused import fused
from jaxkd.kernels.inputs import Inputs, Targets
from jaxkd.kernels.linear.divergence import require_hiddens, require_shape
from jaxkd.kernels.softmax.hybrid import Hybrid, SharedTokens
from jaxkd.records import Hiddens
from jaxkd.typing import Scalar


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class HybridLoss:
    """A differentiable weighted sum, and its gradient-stopped parts per position.

    A part is meaningful only where its weight is not 0.
    """

    total: Scalar
    """Sum over positions of `weights * distance`."""
    distance: Float[Array, "*tokens"]
    """Combined distance: `matched_weight * matched + unmatched_weight * unmatched`."""
    matched: Float[Array, "*tokens"]
    """Divergence of the shared tokens, in nats."""
    unmatched: Float[Array, "*tokens"]
    """Distance of the other tokens: sum over ranks of absolute differences of probabilities."""
    tail_bound: Float[Array, "*tokens"]
    """Bound on the error: the exact `unmatched` is larger by 0 up to this bound; 0 if all ranks were compared."""


def linear_hybrid_distance(
    student: Hiddens,
    teacher: Hiddens,
    *,
    student_log_scale: Float[Array, "*tokens"],
    teacher_log_scale: Float[Array, "*tokens"],
    weights: Float[Array, "*tokens"],
    shared: SharedTokens,
    divergence: SeparableDivergence,
    matched_weight: float = 1.0,
    unmatched_weight: float = 1.0,
    top: int | None = 8192,
    implementation: HybridChunk | None = None,
) -> HybridLoss:
    """Sum `weights * (matched_weight * matched + unmatched_weight * unmatched)` over positions, without all logits.

    It compares two measures, Q(v) = s q(v) and P(v) = t p(v), where log s and log t are the log scales.  Matched is the
    divergence's sum over the shared tokens, unmatched is sum_r abs(P_r - Q_r) over the ranks r of all others.  Neither
    is renormalised.  Under a mesh it behaves like `linear_rank_distance`.

    Args:
        student: hidden states of the student; gradients reach its values, head weight and head bias.
        teacher: hidden states of the matching positions, of any width and vocabulary; gradient-stopped.
        student_log_scale: log scale in nats, such as the log-probability of the preceding text; gradients reach it.
        teacher_log_scale: log scale of the teacher; gradient-stopped.
        weights: mask, coefficient and 1/denominator in one; no gradient reaches them.  A position of weight 0 does not
            affect the total, whatever its hidden states.
        shared: tokens in both vocabularies.
        divergence: a separable divergence of temperature 1.
        matched_weight: weight of the matched part.
        unmatched_weight: weight of the unmatched part.
        top: number of ranks compared one by one; further ranks are compared as one; None for all.
        implementation: `HybridChunk(chunk=...)` sets the number of positions in a chunk.

    Returns:
        `HybridLoss`; only its `total` can be differentiated, once and in reverse mode.

    Raises:
        ValueError: shapes that differ, shared ids without a row in a head, a divergence of another temperature, or
            a `top` below 1.

    Source: the hybrid loss of General Online Logit Distillation, huggingface/trl@f2cd577.  Deviation: in log space
    without a floor on probabilities, while that code uses 1e-8, which moves its values and gradients where a
    distribution is sharp; if one vocabulary has only shared tokens, the other's
    rest is compared with nothing, while that code omits it; `top`, which is None by definition.

    Example:
        >>> import jax.numpy as jnp
        >>> import numpy as np
        >>> from jaxkd.losses import ForwardKL
        >>> from jaxkd.records import Head, Hiddens
        >>> def one(probs):
        ...     weight = jnp.log(jnp.array(probs))[:, None]
        ...     return Hiddens(values=jnp.ones((1, 1)), head=Head(weight=weight, vocab_size=len(probs)))
        >>> loss = linear_hybrid_distance(
        ...     one([0.25, 0.75]),
        ...     one([0.1, 0.5, 0.4]),
        ...     student_log_scale=jnp.zeros(1),
        ...     teacher_log_scale=jnp.zeros(1),
        ...     weights=jnp.ones(1),
        ...     shared=SharedTokens(student_ids=np.array([0]), teacher_ids=np.array([1])),
        ...     divergence=ForwardKL(),
        ... )
        >>> round(float(loss.matched[0]), 4)  # 0.5 log(0.5 / 0.25)
        0.3466
        >>> round(float(loss.unmatched[0]), 4)  # |0.75 - 0.4| + |0 - 0.1|
        0.45
    """
    if student.values.shape[:-1] != teacher.values.shape[:-1]:
        raise ValueError(
            f"teacher.values must have the leading shape of student.values, got {teacher.values.shape} and "
            f"{student.values.shape}. Take both at the positions that match."
        )
    require_hiddens("student", student)
    require_hiddens("teacher", teacher)
    for name, array in (
        ("weights", weights),
        ("student_log_scale", student_log_scale),
        ("teacher_log_scale", teacher_log_scale),
    ):
        require_shape(name, array, student)
    _require_shared("student", shared.student_ids, student)
    _require_shared("teacher", shared.teacher_ids, teacher)
    if divergence.temperature != 1:
        raise ValueError(f"divergence must be of temperature 1, got {divergence}: it compares measures, not logits.")
    if top is not None and top < 1:
        raise ValueError(f"top must be at least 1, or None for all ranks, got {top}.")
    hybrid = Hybrid(
        shared=shared,
        divergence=divergence,
        matched_weight=matched_weight,
        unmatched_weight=unmatched_weight,
        top=top,
    )
    inputs = Inputs.of(student, teacher, Targets(weights=weights))
    scales = jax.lax.stop_gradient(jnp.stack([student_log_scale, teacher_log_scale], axis=-1))
    inputs = dataclasses.replace(inputs, values={**inputs.values, LOG_SCALES: scales})
    total, columns = fused(implementation or HybridChunk(), hybrid, inputs.masked(("student",)))
    # Adds only a gradient: the sweep returns one for hidden states and heads alone.
    slopes = jnp.where(weights == 0, 0.0, jax.lax.stop_gradient(weights * columns.scale_slope))
    moved = jnp.sum(slopes * (student_log_scale - jax.lax.stop_gradient(student_log_scale)))
    return HybridLoss(
        total=total + moved,
        distance=columns.distance,
        matched=columns.matched,
        unmatched=columns.unmatched,
        tail_bound=columns.tail_bound,
    )


def _require_shared(name: str, ids: Int[np.ndarray, " m"], hiddens: Hiddens) -> None:
    largest = max(ids.tolist(), default=-1)
    if largest >= hiddens.head.vocab_size:
        raise ValueError(
            f"shared.{name}_ids must be below the vocab_size of the {name}'s head, {hiddens.head.vocab_size}, got "
            f"{largest}."
        )
