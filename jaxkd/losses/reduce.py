"""Reductions from one value per position to one number; the only module that divides."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxkd.records import Mean
from jaxkd.typing import Scalar

Reduction = Literal["sum", "mean"]


def mean_weights(mask: Bool[Array, "*tokens"], count: Int[Array, ""] | Float[Array, ""]) -> Float[Array, "*tokens"]:
    """Return weights whose weighted sum is the mean over `count` tokens: `mask / count`.

    Args:
        mask: positions of this part.
        count: number of positions of all parts, the sum of all masks.  0 gives weights of 0, not NaN.

    Returns:
        Per position, float32 (float64 for a 64-bit count).

    Source: inferred.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> mean_weights(jnp.array([True, False]), jnp.array(4)).tolist()
        [0.25, 0.0]
    """
    return mask / _divisor(count)


def sequence_mean_weights(
    mask: Bool[Array, "*batch k"],
    count: Int[Array, ""] | Float[Array, ""],
    *,
    sequence_weights: Float[Array, "*batch"] | None = None,
) -> Float[Array, "*batch k"]:
    """Return weights whose weighted sum is the mean over sequences of the mean over each sequence's tokens.

    A token of a sequence of n tokens weighs `sequence_weight / (n * count)`.

    Args:
        mask: positions of this part; a sequence is a row.
        count: `sequence_count` of all parts, with the same weights.  0 gives weights of 0, not NaN.
        sequence_weights: importance of each sequence, 0 or more; all 1 by default.  The weight of a sequence without
            tokens may be anything.

    Returns:
        Per position, float32 (float64 for a 64-bit count).

    Raises:
        ValueError: shapes that do not fit.

    Source: inferred.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> mask = jnp.array([[True, True], [True, False]])
        >>> sequence_mean_weights(mask, sequence_count(mask)).tolist()
        [[0.25, 0.25], [0.5, 0.0]]
    """
    weights = mask / _divisor(count) / _divisor(jnp.sum(mask, axis=-1, keepdims=True))
    if sequence_weights is None:
        return weights
    _require_sequence_weights(mask, sequence_weights)
    return jnp.where(mask, _widened(sequence_weights)[..., None], 0.0) * weights


def sequence_count(
    mask: Bool[Array, "*batch k"], *, sequence_weights: Float[Array, "*batch"] | None = None
) -> Int[Array, ""] | Float[Array, ""]:
    """Count the sequences that have a token, or sum their weights: the count of `sequence_mean_weights`.

    Args:
        mask: positions of this part; a sequence is a row.
        sequence_weights: as in `sequence_mean_weights`.

    Returns:
        An integer; with weights a float32 (float64 for float64 weights).

    Raises:
        ValueError: shapes that do not fit.

    Source: inferred.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> int(sequence_count(jnp.array([[True, True], [True, False], [False, False]])))
        2
    """
    present = jnp.any(mask, axis=-1)
    if sequence_weights is None:
        return jnp.sum(present)
    _require_sequence_weights(mask, sequence_weights)
    return jnp.sum(jnp.where(present, _widened(sequence_weights), 0.0))


def example_mean_weights(
    mask: Bool[Array, "*batch k"],
    example_ids: Int[Array, "*batch k"],
    count: Int[Array, ""] | Float[Array, ""],
    *,
    example_weights: Float[Array, "*batch k"] | None = None,
) -> Float[Array, "*batch k"]:
    """Return weights whose weighted sum is the mean over examples of the mean over each example's tokens.

    It is `sequence_mean_weights` for rows that hold several examples: a token of an example of n tokens weighs
    `example_weight / (n * count)`, wherever the example is packed.

    Args:
        mask: positions of this part.
        example_ids: example of each position, as in `TokenBatch`; its `segment_ids` at the targets also serve.  An
            example lies within one row: equal ids in two rows are two examples.  Any integers but the dtype's largest.
        count: `example_count` of all parts, with the same weights.  0 gives weights of 0, not NaN.
        example_weights: importance of each position's example, 0 or more; all 1 by default.  Masked entries may hold
            anything.

    Returns:
        Per position, float32 (float64 for a 64-bit count).

    Raises:
        ValueError: shapes that differ.
        TypeError: ids that are not integers.

    Source: inferred.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> mask, example_ids = jnp.array([[True, True, True, False]]), jnp.array([[7, 7, 3, -1]])
        >>> example_mean_weights(mask, example_ids, example_count(mask, example_ids)).tolist()
        [[0.25, 0.25, 0.5, 0.0]]
    """
    _require_example_ids(mask, example_ids)
    ids = _masked_ids(mask, example_ids)
    weights = mask / _divisor(count) / jnp.vectorize(_occurrences, signature="(k)->(k)")(ids)
    if example_weights is None:
        return weights
    _require_example_weights(mask, example_weights)
    return jnp.where(mask, _widened(example_weights), 0.0) * weights


def example_count(
    mask: Bool[Array, "*batch k"],
    example_ids: Int[Array, "*batch k"],
    *,
    example_weights: Float[Array, "*batch k"] | None = None,
) -> Int[Array, ""] | Float[Array, ""]:
    """Count the examples that have a token, or sum their weights: the count of `example_mean_weights`.

    Args:
        mask: positions of this part.
        example_ids: as in `example_mean_weights`.
        example_weights: as in `example_mean_weights`.

    Returns:
        An integer; with weights a float32 (float64 for float64 weights).

    Raises:
        ValueError: shapes that differ.
        TypeError: ids that are not integers.

    Source: inferred.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> mask, example_ids = jnp.array([[True, True, True, False]]), jnp.array([[7, 7, 3, -1]])
        >>> int(example_count(mask, example_ids))
        2
    """
    if example_weights is not None:
        return jnp.sum(example_mean_weights(mask, example_ids, jnp.array(1), example_weights=example_weights))
    _require_example_ids(mask, example_ids)
    ids = jnp.sort(_masked_ids(mask, example_ids), axis=-1)
    return jnp.sum(jnp.diff(ids, axis=-1, append=jnp.iinfo(ids.dtype).max) != 0)


def masked_mean(values: Float[Array, "*tokens"], mask: Bool[Array, "*tokens"]) -> Scalar:
    """Return the mean of `values` where `mask` is True; 0 with gradient 0 if it is nowhere True.

    Args:
        values: one value per position; masked entries may hold anything, NaN included.
        mask: positions to count, same shape.

    Returns:
        A scalar of the dtype of `values`.

    Raises:
        ValueError: shapes that differ.

    Source: inferred.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> float(masked_mean(jnp.array([1.0, 3.0, jnp.nan]), jnp.array([True, True, False])))
        2.0
    """
    mean = masked_sum(values, mask)
    return mean.total / jnp.maximum(mean.count, 1)


def masked_sum(values: Float[Array, "*tokens"], mask: Bool[Array, "*tokens"]) -> Mean:
    """Return the sum and count of `values` where `mask` is True; divide after all parts are added.

    Args:
        values: one value per position; masked entries may hold anything, NaN included.
        mask: positions to count, same shape.

    Returns:
        `Mean(total, count)`; the total can be differentiated.

    Raises:
        ValueError: shapes that differ.

    Source: inferred.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> part = masked_sum(jnp.array([1.0, 3.0]), jnp.array([True, False]))
        >>> float((part + part).value())
        1.0
    """
    if values.shape != mask.shape:
        raise ValueError(f"mask must have the shape of values, {values.shape}, got {mask.shape}.")
    return Mean(total=jnp.sum(jnp.where(mask, values, 0.0)), count=jnp.sum(mask, dtype=values.dtype))


def reported(values: Float[Array, "*tokens"], mask: Bool[Array, "*tokens"]) -> Mean:
    """Return `masked_sum` for a metric, gradient-stopped.

    Args:
        values: one value per position.
        mask: positions to count, same shape.

    Returns:
        `Mean(total, count)` without a gradient.

    Raises:
        ValueError: shapes that differ.

    Source: inferred.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> float(reported(jnp.array([1.0, 3.0]), jnp.array([True, True])).value())
        2.0
    """
    return masked_sum(jax.lax.stop_gradient(values), mask)


def segment_reduce(
    values: Float[Array, "*batch k"],
    mask: Bool[Array, "*batch k"],
    segment_ids: Int[Array, "*batch k"],
    *,
    num_segments: int,
    reduction: Reduction = "sum",
) -> Float[Array, "*batch s"]:
    """Return the sum or the mean over the positions of each example of a packed row.

    Args:
        values: one value per position; masked entries may hold anything, NaN included, and get no gradient.
        mask: positions to count.
        segment_ids: example of each position, from 1 in each row: the `segment_ids` of a `TokenBatch`, taken at its
            `target_positions`.
        num_segments: number of examples of the fullest row; later segments are dropped.
        reduction: "sum", or "mean" over the example's own positions.

    Returns:
        Per row and segment, segment i in column i - 1, float32 (float64 for float64 values); 0 for a segment without
        positions.

    Raises:
        ValueError: shapes that differ, no segments, or an unknown reduction.

    Source: inferred.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> values, segment_ids = jnp.array([1.0, 3.0, 8.0]), jnp.array([1, 1, 2])
        >>> segment_reduce(values, jnp.ones(3, bool), segment_ids, num_segments=2, reduction="mean").tolist()
        [2.0, 8.0]
    """
    for name, array in (("mask", mask), ("segment_ids", segment_ids)):
        if array.shape != values.shape:
            raise ValueError(
                f"{name} must have the shape of values, {values.shape}, got {array.shape}. Take those of the target "
                "positions."
            )
    if not num_segments >= 1:
        raise ValueError(
            f"num_segments must be 1 or more, got {num_segments}. Give the examples of the fullest row, padding not "
            "counted."
        )
    if reduction not in get_args(Reduction):
        raise ValueError(f"reduction must be one of {', '.join(get_args(Reduction))}, got {reduction!r}.")
    # Sum over each segment's members rather than scatter: the order of additions is fixed on every device.
    members = mask[..., None, :] & jax.nn.one_hot(segment_ids - 1, num_segments, dtype=bool, axis=-2)
    totals = jnp.sum(jnp.where(members, _widened(values)[..., None, :], 0.0), axis=-1)
    return totals if reduction == "sum" else totals / _divisor(jnp.sum(members, axis=-1))


def _divisor(count: Int[Array, "*batch"] | Float[Array, "*batch"]) -> Int[Array, "*batch"] | Float[Array, "*batch"]:
    """Return `count`, or 1 for 0, if there is nothing to divide.  A sum of weights may be below 1."""
    return jnp.where(count > 0, count, 1)


def _widened(values: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Convert to float32 or wider: sums in bfloat16 stop growing at 256."""
    return values.astype(jnp.promote_types(jnp.float32, values.dtype))


def _masked_ids(mask: Bool[Array, "*batch k"], example_ids: Int[Array, "*batch k"]) -> Int[Array, "*batch k"]:
    """Replace masked ids by one that belongs to no example and sorts after all others."""
    return jnp.where(mask, example_ids, jnp.iinfo(example_ids.dtype).max)


def _occurrences(ids: Int[Array, " k"]) -> Int[Array, " k"]:
    """Count how often each id occurs, by sorting: comparing all pairs of positions takes k^2 memory."""
    ordered = jnp.sort(ids)
    return jnp.searchsorted(ordered, ids, side="right") - jnp.searchsorted(ordered, ids, side="left")


def _require_sequence_weights(mask: Array, sequence_weights: Array) -> None:
    if sequence_weights.shape != mask.shape[:-1]:
        raise ValueError(
            f"sequence_weights must have the leading shape of mask, {mask.shape[:-1]}, got {sequence_weights.shape}. "
            "Give one weight a row."
        )


def _require_example_ids(mask: Array, example_ids: Array) -> None:
    if example_ids.shape != mask.shape:
        raise ValueError(
            f"example_ids must have the shape of mask, {mask.shape}, got {example_ids.shape}. "
            "Take those of the target positions."
        )
    if not jnp.issubdtype(example_ids.dtype, jnp.integer):
        raise TypeError(f"example_ids must be numbers of an integer dtype, got {example_ids.dtype}.")


def _require_example_weights(mask: Array, example_weights: Array) -> None:
    if example_weights.shape != mask.shape:
        raise ValueError(
            f"example_weights must have the shape of mask, {mask.shape}, got {example_weights.shape}. "
            "Give each position the weight of its example."
        )
