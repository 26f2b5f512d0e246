"""Universal logit distillation from hidden states: two vocabularies compared rank by rank."""

import dataclasses

import jax
from jaxtyping import Array, Float

from jaxkd.kernels.chunks.rank_chunk import RankChunk, Ranks
from jaxkd.kernels.fused import fused
from jaxkd.kernels.inputs import Inputs, Targets
from jaxkd.kernels.linear.divergence import require_hiddens, require_shape
from jaxkd.records import Hiddens
from jaxkd.typing import Scalar


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class RankLoss:
    """A differentiable weighted sum, and its gradient-stopped parts per position.

    A part is meaningful only where its weight is not 0.
    """

    total: Scalar
    """Sum over positions of `weights * distance`."""
    distance: Float[Array, "*tokens"]
    """Rank distance, between 0 and 2, gradient-stopped."""
    tail_bound: Float[Array, "*tokens"]
    """Bound on the error: the exact distance is between `distance` and `distance + tail_bound`; 0 if all ranks were
    compared."""


def linear_rank_distance(
    student: Hiddens,
    teacher: Hiddens,
    *,
    weights: Float[Array, "*tokens"],
    temperature: float = 1.0,
    top: int | None = 8192,
    implementation: RankChunk | None = None,
) -> RankLoss:
    """Sum `weights * sum_r abs(p_r - q_r)` over positions, r the ranks of the probabilities, without all logits.

    The vocabularies may differ and need no common token: position i of the student is compared with position i of the
    teacher, the most likely token with the most likely, and so on.  Ranks that the smaller vocabulary lacks are 0.
    `jaxkd.losses.wasserstein_sorted` computes the same from logits.

    Ranks beyond `top` are compared as one, by their sums.  That is a lower bound on their distance, its gradient moves
    mass into or out of the tail, and only `top` tokens are sorted.  A bound on the error is returned.

    Under a mesh (`jax.set_mesh`) positions are split over its data and fsdp axes.  The logits of a chunk are gathered
    if the tensor axis splits a vocabulary.

    Args:
        student: hidden states of the student; gradients reach its values, head weight and head bias.
        teacher: hidden states of the matching positions, of any width and vocabulary; gradient-stopped.
        weights: mask, coefficient and 1/denominator in one; no gradient reaches them.  A position of weight 0 does not
            affect the total, whatever it holds.
        temperature: divides both logits, > 0.
        top: number of ranks compared one by one; None for all.
        implementation: `RankChunk(chunk=...)` sets the number of positions in a chunk.

    Returns:
        `RankLoss`; only its `total` can be differentiated, once and in reverse mode.

    Raises:
        ValueError: shapes that differ, a temperature that is not positive, or a `top` below 1.

    Source: Boizard et al., ULD (arXiv 2402.12030), the closed form of the Wasserstein term; the sum of
    songmzhang/DSKD@077337a.  Deviation: `temperature` and `top`, which are 1 and None by definition.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxkd.records import Head, Hiddens
        >>> def one(probs):
        ...     weight = jnp.log(jnp.array(probs))[:, None]
        ...     return Hiddens(values=jnp.ones((1, 1)), head=Head(weight=weight, vocab_size=len(probs)))
        >>> loss = linear_rank_distance(one([0.25, 0.75]), one([0.1, 0.6, 0.3]), weights=jnp.ones(1))
        >>> round(float(loss.total), 4)  # |0.75 - 0.6| + |0.25 - 0.3| + |0 - 0.1|
        0.3
    """
    if student.values.shape[:-1] != teacher.values.shape[:-1]:
        raise ValueError(
            f"teacher.values must have the leading shape of student.values, got {teacher.values.shape} and "
            f"{student.values.shape}. Take both at the positions that match."
        )
    require_hiddens("student", student)
    require_hiddens("teacher", teacher)
    require_shape("weights", weights, student)
    if not temperature > 0:
        raise ValueError(f"temperature must be > 0, got {temperature}.")
    if top is not None and top < 1:
        raise ValueError(f"top must be at least 1, or None for all ranks, got {top}.")
    ranks = Ranks(temperature=temperature, top=top)
    inputs = Inputs.of(student, teacher, Targets(weights=weights)).masked(("student",))
    total, columns = fused(implementation or RankChunk(), ranks, inputs)
    return RankLoss(total=total, **columns._asdict())
