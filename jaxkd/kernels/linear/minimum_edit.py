"""MinED from hidden states: a teacher's distribution mapped to the student's vocabulary token by token."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxkd.kernels import Divergence, LinearLoss, linear_divergence
from jaxkd.records import Head, Hiddens


def moved_head(teacher: Head, teacher_of_student: Int[Array, " vs"]) -> Head:
    """Gather the rows of the teacher's head in the order of the student's vocabulary.

    Row v is the row of the teacher token that `teacher_of_student` names for the student's token v; a token without one
    has logit -inf, so the softmax is over the others.  The result holds vs rows of the teacher's width: make it once.

    Args:
        teacher: a head without soft-cap; no gradient reaches it.
        teacher_of_student: teacher token of each student row; -1 if there is none, also for padding rows.

    Returns:
        A head with a bias, in the dtype of the teacher's weight, gradient-stopped.

    Raises:
        ValueError: a head with soft-cap.

    Source: MinED (FuseLLM, arXiv 2401.10491) with one teacher token for each student token, as songmzhang/DSKD@077337a.
    Deviation: that code gives a missing token a logit of -1e5, equivalent for a softmax in float32.

    Example:
        >>> import jax.numpy as jnp
        >>> head = moved_head(Head(weight=jnp.array([[1.0], [2.0]]), vocab_size=2), jnp.array([1, -1, 0]))
        >>> head.weight.tolist(), head.bias.tolist()
        ([[2.0], [1.0], [1.0]], [0.0, -inf, 0.0])
    """
    if teacher.softcap is not None:
        raise ValueError(
            f"teacher must be a head without soft-cap, got one of {teacher.softcap}: it would give the tokens that the "
            "teacher does not have a logit of -softcap. Compare by rank instead, with linear_rank_distance."
        )
    teacher, teacher_of_student = jax.lax.stop_gradient((teacher, teacher_of_student))
    known = (teacher_of_student >= 0) & (teacher_of_student < teacher.vocab_size)
    rows = jnp.where(known, teacher_of_student, 0)
    bias = jnp.zeros((), teacher.weight.dtype) if teacher.bias is None else teacher.bias[rows]
    return dataclasses.replace(
        teacher,
        weight=teacher.weight[rows],
        bias=jnp.where(known, bias, -jnp.inf),
        vocab_size=len(teacher_of_student),
    )


def linear_minimum_edit(
    student: Hiddens,
    teacher: Hiddens,
    *,
    teacher_positions: Int[Array, "*b n"],
    labels: Int[Array, "*b n"],
    weights: Float[Array, "*b n"],
    divergence: Divergence,
    temperature: float = 1.0,
) -> LinearLoss:
    """Sum the divergence from the teacher at aligned positions and the cross entropy elsewhere, without all logits.

    Both use the same temperature.  An unaligned position has the label as its teacher: the forward KL
    from a distribution of one token is that token's cross entropy.

    Args:
        student: hidden states of the student's targets; gradients reach its values, head weight and head bias.
        teacher: hidden states of the teacher's targets, any number of them, with a head over the student's vocabulary:
            `moved_head`.  Gradient-stopped.
        teacher_positions: row of `teacher.values` aligned with each position, -1 if there is none: those that
            `aligned_positions` finds among the input tokens, numbered as the targets are.
        labels: labels of the student; any valid id where the weight is 0.
        weights: mask, coefficient and 1/denominator in one; no gradient reaches them.
        divergence: a divergence of temperature 1 with its gradient to the student; MinED's is `ForwardKL()`.
        temperature: divides all logits, > 0.

    Returns:
        `LinearLoss`, with all fields at that temperature.

    Raises:
        ValueError: positions that are not of the student's shape, a teacher with other leading axes or another
            vocabulary, a temperature that is not positive, or a divergence other than those.

    Source: MinED (FuseLLM, arXiv 2401.10491); songmzhang/DSKD@077337a.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxkd.losses import ForwardKL
        >>> student = Hiddens(values=jnp.zeros((2, 1)), head=Head(weight=jnp.zeros((4, 1)), vocab_size=4))
        >>> head = moved_head(Head(weight=jnp.zeros((2, 1)), vocab_size=2), jnp.array([0, 1, -1, -1]))
        >>> loss = linear_minimum_edit(
        ...     student, Hiddens(values=jnp.zeros((3, 1)), head=head), teacher_positions=jnp.array([2, -1]),
        ...     labels=jnp.array([0, 3]), weights=jnp.ones(2), divergence=ForwardKL())
        >>> round(float(loss.total), 4)  # log 2 where the teacher knows two tokens of four, log 4 elsewhere
        2.0794
    """
    if teacher_positions.shape != student.values.shape[:-1]:
        raise ValueError(
            f"teacher_positions must have the leading shape of student.values, {student.values.shape[:-1]}, got "
            f"{teacher_positions.shape}. Give every position one, -1 where it is not aligned."
        )
    if teacher.values.shape[:-2] != student.values.shape[:-2]:
        raise ValueError(
            f"teacher.values must have the rows of student.values, {student.values.shape[:-2]}, got "
            f"{teacher.values.shape[:-2]}. Positions are numbered within a row."
        )
    if (divergence.temperature, divergence.gradient_to) != (1.0, "student"):
        raise ValueError(
            f"divergence must have temperature 1 and its gradient to the student, got {divergence}. The argument "
            "temperature divides all logits, those of the cross entropy too."
        )
    if not temperature > 0:
        raise ValueError(f"temperature must be > 0, got {temperature}.")
    aligned = teacher_positions >= 0
    rows = jnp.where(aligned, teacher_positions, 0)[..., None]
    values = jnp.take_along_axis(jax.lax.stop_gradient(teacher.values), rows, axis=-2)
    # The heads divide by the temperature, so that it applies to the cross entropy too, in the same sweep.
    return linear_divergence(
        Hiddens(values=student.values, head=student.head.tempered(temperature)),
        Hiddens(values=values, head=teacher.head.tempered(temperature)),
        weights=jnp.where(aligned, weights, 0),
        divergence=divergence,
        labels=labels,
        label_weights=jnp.where(aligned, 0, weights),
    )
