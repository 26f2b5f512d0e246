"""Distances between attention scores of all pairs of query and key, and between relations of the same form."""

import math
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxkd.losses.divergence import forward_kl
from jaxkd.losses.feature.vectors import wide

Heads = Literal["matched", "mean"]
"""Comparison of heads: head i with head i, or the means over the heads of each side."""


def attention_mse(
    student_scores: Float[Array, "*b student_heads queries keys"],
    teacher_scores: Float[Array, "*b teacher_heads queries keys"],
    *,
    mask: Bool[Array, "*b #queries keys"] | None = None,
    heads: Heads = "matched",
) -> Float[Array, "*b queries"]:
    """Return the mean over heads and keys of (student - teacher)^2, for scores before the softmax.

    Args:
        student_scores: q k / sqrt(d) of any float dtype; gradients reach them.
        teacher_scores: scores of the same queries and keys; gradient-stopped.
        mask: keys that a query attends to, all by default; `padding[:, None, :]` if they are the same for all queries.
            Masked entries may hold anything, -inf and NaN included.
        heads: "matched" compares head i with head i; "mean" compares the mean scores, for any numbers of heads.

    Returns:
        Per query, float32 (float64 if an input is), >= 0; 0 with gradient 0 for a query without keys.

    Raises:
        ValueError: shapes that do not fit, or an unknown choice of heads.

    Source: TinyBERT (Jiao et al., arXiv 1909.10351), equation 7; checked against
    huawei-noah/Pretrained-Language-Model@1bb9b3e.  Deviation: that code counts masked scores as differences of 0 in its
    mean; here they are excluded.  "mean" is inferred.

    Example:
        >>> import jax.numpy as jnp
        >>> student, teacher = jnp.array([[[1.0, 2.0, 9.0]]]), jnp.array([[[1.0, 4.0, 0.0]]])
        >>> attention_mse(student, teacher, mask=jnp.array([[True, True, False]])).tolist()
        [2.0]
    """
    _require_comparable("scores", student_scores.shape, teacher_scores.shape, -3, heads)
    mask = _of_each_head(mask, student_scores.shape)
    student, teacher = (
        _over_heads(jnp.where(mask, scores, 0.0), heads)
        for scores in wide(student_scores, jax.lax.stop_gradient(teacher_scores))
    )
    total = jnp.sum(jnp.square(student - teacher), axis=-1)
    return jnp.mean(total / jnp.maximum(jnp.sum(mask, axis=-1), 1), axis=-2)


def attention_kl(
    student_scores: Float[Array, "*b student_heads queries keys"],
    teacher_scores: Float[Array, "*b teacher_heads queries keys"],
    *,
    mask: Bool[Array, "*b #queries keys"] | None = None,
    heads: Heads = "matched",
) -> Float[Array, "*b queries"]:
    """Return the mean over heads of KL(teacher || student) between a query's attention probabilities, in nats.

    Args:
        student_scores: scores before the softmax, or log-probabilities, of any float dtype; gradients
            reach them.
        teacher_scores: scores of the same queries and keys; gradient-stopped.
        mask: keys that a query attends to, all by default; `padding[:, None, :]` if they are the same for all queries.
            Masked entries may hold anything, -inf and NaN included.  A score of -inf on both sides is the same as a
            masked one.
        heads: "matched" compares head i with head i; "mean" compares the mean probabilities, for any numbers of heads.

    Returns:
        Per query, float32 (float64 if an input is), >= 0 up to rounding; 0 with gradient 0 for a query without keys.

    Raises:
        ValueError: shapes that do not fit, or an unknown choice of heads.

    Source: MiniLM (Wang et al., arXiv 2002.10957), section 3.1, the attention distributions, per query;
    from the equation, without its code.  Deviation: "mean" is inferred.

    Example:
        >>> import jax.numpy as jnp
        >>> student, teacher = jnp.log(jnp.array([[[0.5, 0.5]]])), jnp.log(jnp.array([[[0.75, 0.25]]]))
        >>> round(float(attention_kl(student, teacher)[0]), 4)
        0.1308
    """
    _require_comparable("scores", student_scores.shape, teacher_scores.shape, -3, heads)
    mask = _of_each_head(mask, student_scores.shape)
    # Give a query without keys equal scores on both sides: a softmax over nothing is NaN.
    absent = jnp.where(jnp.any(mask, axis=-1, keepdims=True), -jnp.inf, 0.0)
    student, teacher = (jnp.where(mask, scores, absent) for scores in wide(student_scores, teacher_scores))
    if heads == "mean":
        student, teacher = _log_mean_probs(student), _log_mean_probs(teacher)
    return jnp.mean(forward_kl(student, teacher), axis=-2)


def value_relation_kl(
    student_values: Float[Array, "*b student_heads t ds"],
    teacher_values: Float[Array, "*b teacher_heads t dt"],
    *,
    mask: Bool[Array, "*b #t t"] | None = None,
    heads: Heads = "matched",
) -> Float[Array, "*b t"]:
    """Return `attention_kl` between the relations v v^T / sqrt(d) of the value vectors, in nats; widths may differ.

    It also serves for the relations of queries and of keys.  Memory is that of the scores, t^2 per head.

    Args:
        student_values: value vectors of any float dtype, finite; gradients reach them.
        teacher_values: value vectors of the same positions, of any width; gradient-stopped.
        mask: positions that each position is related to, as in `attention_kl`.
        heads: as in `attention_kl`.

    Returns:
        Per position, float32 (float64 if an input is), >= 0 up to rounding; 0 with gradient 0 for a position related to
        none.

    Raises:
        ValueError: shapes that do not fit, or an unknown choice of heads.

    Source: MiniLM (Wang et al., arXiv 2002.10957), section 3.2, the value relation; for queries and keys
    MiniLMv2 (arXiv 2012.15828); from the equations, without their code.  Deviation: "mean" is inferred;
    MiniLMv2 instead splits the vectors of all heads into equally many relation heads, which is a reshape
    before this.

    Example:
        >>> import jax.numpy as jnp
        >>> student, teacher = jnp.zeros((1, 2, 3)), jnp.array([[[1.0], [0.0]]])  # one head, two positions
        >>> round(float(value_relation_kl(student, teacher)[0]), 4)  # softmax([1, 0]) against (1/2, 1/2)
        0.1109
    """
    _require_comparable("values", student_values.shape[:-1], teacher_values.shape[:-1], -2, heads)
    return attention_kl(_relations(student_values), _relations(teacher_values), mask=mask, heads=heads)


def _relations(vectors: Float[Array, "*b heads t d"]) -> Float[Array, "*b heads t t"]:
    precision = jnp.promote_types(jnp.float32, vectors.dtype)
    products = jnp.einsum("...td,...ud->...tu", vectors, vectors, preferred_element_type=precision)
    return products * vectors.shape[-1] ** -0.5


def _over_heads(
    scores: Float[Array, "*b heads queries keys"], heads: Heads
) -> Float[Array, "*b compared queries keys"]:
    return jnp.mean(scores, axis=-3, keepdims=True) if heads == "mean" else scores


def _log_mean_probs(scores: Float[Array, "*b heads queries keys"]) -> Float[Array, "*b 1 queries keys"]:
    log_probs = jax.nn.log_softmax(scores, axis=-1)
    # A log-sum-exp of -inf alone is -inf, but its gradient is NaN.
    impossible = jnp.all(log_probs == -jnp.inf, axis=-3, keepdims=True)
    total = jax.nn.logsumexp(jnp.where(impossible, 0.0, log_probs), axis=-3, keepdims=True)
    return jnp.where(impossible, -jnp.inf, total - math.log(scores.shape[-3]))


def _of_each_head(
    mask: Bool[Array, "*b #queries keys"] | None, shape: tuple[int, ...]
) -> Bool[Array, "*b 1 #queries keys"]:
    *batch, _, queries, keys = shape
    if mask is None:
        return jnp.ones((*batch, 1, 1, keys), bool)
    if mask.shape not in ((*batch, queries, keys), (*batch, 1, keys)):
        raise ValueError(
            f"mask must have shape {(*batch, queries, keys)}, or 1 for {queries} where it is the same for all queries, "
            f"got {mask.shape}. It has no axis of heads."
        )
    return mask[..., None, :, :]


def _require_comparable(
    what: str, student: tuple[int, ...], teacher: tuple[int, ...], head_axis: int, heads: Heads
) -> None:
    if heads not in get_args(Heads):
        raise ValueError(f"heads must be one of {', '.join(get_args(Heads))}, got {heads!r}.")

    def positions(shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*shape[:head_axis], *shape[head_axis + 1 :])

    if positions(student) != positions(teacher):
        raise ValueError(
            f"teacher_{what} must have the rows and positions of student_{what}, {positions(student)}, got "
            f"{positions(teacher)}. Align the positions first."
        )
    if heads == "matched" and student[head_axis] != teacher[head_axis]:
        raise ValueError(
            f"teacher_{what} must have the heads of student_{what}, {student[head_axis]}, got {teacher[head_axis]}. "
            'Pass heads="mean" to compare the means over the heads.'
        )
