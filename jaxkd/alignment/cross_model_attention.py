"""Cross-model attention: maps the hidden states of one model to the positions of another by attention.

DSKD uses it to compare models of two tokenizations.  A student target attends to the teacher's targets of the same
example, whatever their number and order, and takes the weighted mean of their projected hidden states (t2s); with the
transposed scores, a teacher target attends to the student's (s2t).  No array has a vocabulary axis:

    keys = normalise(concatenate([e_t_in, e_t_target]))       the teacher's embeddings of input and target, [*b m 2D]
    values = project(P_t2s, normalise(h_t) + normalise(e_t_target))
    weights = attention_weights(project(P_query, concatenate([e_s_in, e_s_target])), keys)
    t2s = attend(weights.t2s, values)                         [*b n d], which the student's head reads
    s2t = attend(weights.s2t, project(P_s2t, h_s))            [*b m D], which the teacher's head reads

Gradients reach all arguments: a recipe stops them where its paper does, for DSKD at all embeddings, at h_t, and at both
heads where they read t2s and s2t.
"""

import math
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

Statistic = Literal["tokens", "reference"]
"""Entries over which a standard deviation is taken."""

_HIGHEST = jax.lax.Precision.HIGHEST  # accelerators round float32 products to bfloat16 or TF32 by default


class AttentionWeights(NamedTuple):
    """Both directions of one matrix of scores, in float32 or wider."""

    t2s: Float[Array, "*b n m"]
    """Weight of each teacher target for each student target; a row adds up to 1, or to 0 if it may attend to none."""
    s2t: Float[Array, "*b m n"]
    """Weight of each student target for each teacher target."""


def attention_weights(
    queries: Float[Array, "*b n d"],
    keys: Float[Array, "*b m d"],
    *,
    student_mask: Bool[Array, "*b n"],
    teacher_mask: Bool[Array, "*b m"],
    student_segment_ids: Int[Array, "*b n"] | None = None,
    teacher_segment_ids: Int[Array, "*b m"] | None = None,
) -> AttentionWeights:
    """Return the softmax of `queries keys^T / sqrt(d)` over the teacher's targets, and of its transpose.

    Args:
        queries: queries of the student's targets, any float dtype; gradients reach them.
        keys: keys of the teacher's targets; gradients reach them.
        student_mask: True at the student's targets.  Masked entries may hold anything, NaN included.
        teacher_mask: True at the teacher's targets.
        student_segment_ids: example of each student target, numbered as on the teacher's side, such as the
            `example_ids` of packed rows; None if a row is one example.
        teacher_segment_ids: example of each teacher target; required with `student_segment_ids`.

    Returns:
        `AttentionWeights`, float32 (float64 for float64 inputs); 0 wherever a position is masked or belongs to another
        example.

    Raises:
        ValueError: widths that differ, masks or segment ids that do not fit, or segment ids of one side alone.

    Source: DSKD (arXiv 2406.17328), section 3.3; checked against songmzhang/DSKD@077337a.  Deviation: that code adds
    -1e5 to masked scores, so a row without keys attends to the padding; here its weights are 0, with gradient 0.  That
    code has no packed rows.

    Example:
        >>> import jax.numpy as jnp
        >>> queries, keys = jnp.zeros((1, 4)), jnp.ones((3, 4))
        >>> masks = {"student_mask": jnp.ones(1, bool), "teacher_mask": jnp.array([True, True, False])}
        >>> attention_weights(queries, keys, **masks).t2s.tolist()
        [[0.5, 0.5, 0.0]]
    """
    if queries.shape[-1] != keys.shape[-1]:
        raise ValueError(
            f"keys must have the width of queries, {queries.shape[-1]}, got {keys.shape[-1]}. The query projector "
            "leads to twice the teacher's width."
        )
    _require_shape("student_mask", student_mask, queries)
    _require_shape("teacher_mask", teacher_mask, keys)
    if (student_segment_ids is None) != (teacher_segment_ids is None):
        raise ValueError("student_segment_ids and teacher_segment_ids must be given together, got one of them.")
    allowed = student_mask[..., :, None] & teacher_mask[..., None, :]
    if student_segment_ids is not None and teacher_segment_ids is not None:
        _require_shape("student_segment_ids", student_segment_ids, queries)
        _require_shape("teacher_segment_ids", teacher_segment_ids, keys)
        allowed &= student_segment_ids[..., :, None] == teacher_segment_ids[..., None, :]
    # Before the product: NaN times a gradient of 0 is NaN.
    queries = jnp.where(student_mask[..., None], _wide(queries), 0)
    keys = jnp.where(teacher_mask[..., None], _wide(keys), 0)
    scores = jnp.einsum("...nd,...md->...nm", queries, keys, precision=_HIGHEST) / math.sqrt(queries.shape[-1])
    return AttentionWeights(
        t2s=_softmax(scores, allowed), s2t=_softmax(jnp.swapaxes(scores, -1, -2), jnp.swapaxes(allowed, -1, -2))
    )


def attend(weights: Float[Array, "*b n m"], values: Float[Array, "*b m d"]) -> Float[Array, "*b n d"]:
    """Return `weights values`, multiplied in float32.

    Args:
        weights: one direction of `attention_weights`; gradients reach them.
        values: any float dtype; gradients reach them.  Values that no position attends to may hold anything, NaN
            included.

    Returns:
        Hidden states in the dtype of `values`; 0 at a position without weights.

    Raises:
        ValueError: another number of values than weights.

    Source: DSKD (arXiv 2406.17328), section 3.3.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> attend(jnp.array([[0.5, 0.5, 0.0]]), jnp.array([[2.0], [4.0], [jnp.nan]])).tolist()
        [[3.0]]
    """
    if weights.shape[-1] != values.shape[-2]:
        raise ValueError(
            f"values must have a row for each of the {weights.shape[-1]} weights, got {values.shape[-2]}. "
            "t2s takes the teacher's values, s2t the student's."
        )
    looked_at = jnp.any(weights != 0, axis=-2)[..., None]
    wide = jnp.where(looked_at, values, 0).astype(jnp.promote_types(weights.dtype, values.dtype))
    return jnp.einsum("...nm,...md->...nd", weights, wide, precision=_HIGHEST).astype(values.dtype)


def normalise(
    values: Float[Array, "*b m d"],
    mask: Bool[Array, "*b m"],
    *,
    segment_ids: Int[Array, "*b m"] | None = None,
    over: Statistic = "tokens",
) -> Float[Array, "*b m d"]:
    """Return `values / std`, with one standard deviation per group; the mean is not subtracted.

    Args:
        values: embeddings or hidden states of any float dtype; gradients reach them, through `std` too.
        mask: True at targets.
        segment_ids: example of each position of a packed row; None if a row is one example.
        over: "tokens" takes the deviation over the features of an example's own targets, so the result does not depend
            on padding, packing or the rest of the batch.  "reference" takes one over the whole array, padding included,
            as DSKD's code does, and ignores `mask` and `segment_ids`.  For a batch of one example without padding both
            are equal.

    Returns:
        In float32 (float64 for float64 inputs).  With "tokens", 0 where masked.  Values that are all equal have no
        deviation and stay unchanged.

    Raises:
        ValueError: a mask or segment ids that do not fit, or an unknown choice of `over`.

    Source: DSKD (arXiv 2406.17328); songmzhang/DSKD@077337a, whose standard deviation is unbiased, as here.
    Deviation: "tokens" is inferred; "reference" has none.

    Example:
        >>> import jax.numpy as jnp
        >>> values, mask = jnp.array([[1.0, 1.0], [5.0, 1.0], [9.0, 9.0]]), jnp.array([True, True, False])
        >>> normalise(values, mask).tolist()  # the deviation of 1, 1, 5 and 1 is 2
        [[0.5, 0.5], [2.5, 0.5], [0.0, 0.0]]
    """
    if over not in get_args(Statistic):
        raise ValueError(f"over must be one of {', '.join(get_args(Statistic))}, got {over!r}.")
    values = _wide(values)
    if over == "reference":
        mean = jnp.mean(values)
        return values / _std(jnp.sum(jnp.square(values - mean)), mean, jnp.asarray(values.size, values.dtype))
    _require_shape("mask", mask, values)
    together = mask[..., :, None] & mask[..., None, :]
    if segment_ids is not None:
        _require_shape("segment_ids", segment_ids, values)
        together &= segment_ids[..., :, None] == segment_ids[..., None, :]
    values = jnp.where(mask[..., None], values, 0)

    def added(per_token: Float[Array, "*b m"]) -> Float[Array, "*b m"]:
        """Return the sum over its example at each position."""
        return jnp.sum(jnp.where(together, per_token[..., None, :], 0), axis=-1)

    count = added(jnp.ones_like(values[..., 0])) * values.shape[-1]
    mean = added(jnp.sum(values, axis=-1)) / jnp.maximum(count, 1)
    squares = added(jnp.sum(jnp.square(values - mean[..., None]), axis=-1))
    return values / _std(squares, mean, count)[..., None]


def _std(squares: Float[Array, "*b"], mean: Float[Array, "*b"], count: Float[Array, "*b"]) -> Float[Array, "*b"]:
    """Return the unbiased standard deviation, or 1 if it is 0 up to rounding, where the root has an infinite slope."""
    varies = squares > count * jnp.square(8 * jnp.finfo(squares.dtype).eps * mean)
    return jnp.sqrt(jnp.where(varies, squares, 1) / jnp.where(varies, jnp.maximum(count - 1, 1), 1))


def _softmax(scores: Float[Array, "*b n m"], allowed: Bool[Array, "*b n m"]) -> Float[Array, "*b n m"]:
    """Softmax over the allowed scores; 0, with gradient 0, if there are none."""
    largest = jnp.max(jnp.where(allowed, scores, -jnp.inf), axis=-1, keepdims=True)
    largest = jax.lax.stop_gradient(jnp.where(largest == -jnp.inf, 0, largest))
    exponentials = jnp.where(allowed, jnp.exp(jnp.where(allowed, scores - largest, 0)), 0)
    total = jnp.sum(exponentials, axis=-1, keepdims=True)
    return exponentials / jnp.where(total == 0, 1, total)


def _wide(array: Array) -> Array:
    return array.astype(jnp.promote_types(jnp.float32, array.dtype))


def _require_shape(name: str, array: Array, like: Array) -> None:
    if array.shape != like.shape[:-1]:
        raise ValueError(f"{name} must have one value per position, shape {like.shape[:-1]}, got {array.shape}.")
