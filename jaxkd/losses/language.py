"""Losses on labels, without a teacher."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxkd.losses.reduce import Reduction, segment_reduce


def cross_entropy(
    logits: Float[Array, "*tokens v"],
    labels: Int[Array, "*tokens"],
    *,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
) -> Float[Array, "*tokens"]:
    """Return -log q[label] with q = softmax(logits), in nats, with optional label smoothing and a penalty on log Z.

    It is `(1 - label_smoothing) (-log q[label]) + label_smoothing mean_v(-log q) + z_loss (log Z)^2`, where
    Z = sum_v exp(logits).

    Args:
        logits: any float dtype; -inf marks a padding row, and the mean is over the others.
        labels: token ids in [0, v); mask the result at positions without a label.  The result is +inf where the label's
            logit is -inf.
        label_smoothing: share of the target distributed evenly over the tokens, in [0, 1).
        z_loss: weight of the penalty, 0 or more.

    Returns:
        Per position, float32 (float64 for float64 inputs).

    Raises:
        ValueError: leading shapes that differ, or an option out of its range.
        TypeError: labels that are not integers.

    Source: Szegedy et al. (arXiv 1512.00567), section 7, for label smoothing; PaLM (arXiv 2204.02311),
    section 5, for the penalty.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> round(float(cross_entropy(jnp.zeros(8), jnp.array(3))), 4)  # log 8
        2.0794
    """
    _require_labels(logits, labels)
    if not 0 <= label_smoothing < 1:
        raise ValueError(
            f"label_smoothing must be in [0, 1), got {label_smoothing}. It is a fraction of the target, such as 0.1."
        )
    if not z_loss >= 0:
        raise ValueError(f"z_loss must be 0 or more, got {z_loss}. It is the weight of a penalty, such as 1e-4.")
    logits = logits.astype(jnp.promote_types(jnp.float32, logits.dtype))
    # Subtract the largest logit, because a log-sum-exp near 1e4 is rounded to 1e-3 nats.
    largest = jax.lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))
    log_z = jnp.log(jnp.sum(jnp.exp(logits - largest), axis=-1))
    # Gather before the subtraction: a gather from the difference would store it for the whole vocabulary.
    nats = log_z - (jnp.take_along_axis(logits, labels[..., None], axis=-1) - largest)[..., 0]
    if label_smoothing > 0:
        evenly = log_z - jnp.mean(logits - largest, axis=-1, where=logits != -jnp.inf)
        nats = (1 - label_smoothing) * nats + label_smoothing * evenly
    if z_loss > 0:
        nats += z_loss * jnp.square(log_z + largest[..., 0])
    return nats


def sequence_log_prob(
    logits: Float[Array, "*batch k v"],
    labels: Int[Array, "*batch k"],
    mask: Bool[Array, "*batch k"],
    *,
    reduction: Reduction = "sum",
) -> Float[Array, "*batch"]:
    """Return the sum of log q[label] over a sequence's tokens, or the mean, in nats.

    Args:
        logits: any float dtype; -inf marks a padding row.
        labels: token ids in [0, v) where `mask` is True.
        mask: the sequence's own tokens.  Elsewhere logits and labels may hold anything, NaN included, and get no
            gradient.
        reduction: "sum", or "mean" over the sequence's own tokens.

    Returns:
        Per sequence, float32 (float64 for float64 inputs), <= 0; 0 for a sequence without tokens.

    Raises:
        ValueError: shapes that differ, or an unknown reduction.
        TypeError: labels that are not integers.

    Source: the sum is log pi(y | x) of DPO (Rafailov et al., arXiv 2305.18290), equation 7; the mean
    is the length-normalised one of SimPO (Meng et al., arXiv 2405.14734), section 2.2.
    Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> labels, mask = jnp.array([[0, 1, 0]]), jnp.array([[True, True, False]])
        >>> print(sequence_log_prob(jnp.zeros((1, 3, 2)), labels, mask).round(4))  # -2 log 2
        [-1.3863]
    """
    log_probs = _label_log_probs(logits, labels, mask)
    whole = jnp.ones_like(labels)
    return segment_reduce(log_probs, mask, whole, num_segments=1, reduction=reduction)[..., 0]


def segment_log_prob(
    logits: Float[Array, "*batch k v"],
    labels: Int[Array, "*batch k"],
    mask: Bool[Array, "*batch k"],
    segment_ids: Int[Array, "*batch k"],
    *,
    num_segments: int,
    reduction: Reduction = "sum",
) -> Float[Array, "*batch s"]:
    """Return `sequence_log_prob` of each example of a packed row, in nats.

    Args:
        logits: any float dtype; -inf marks a padding row.
        labels: token ids in [0, v) where `mask` is True.
        mask: tokens to count.  Elsewhere the other arrays may hold anything, NaN included, and get no gradient.
        segment_ids: example of each position, from 1 in each row: the `segment_ids` of a `TokenBatch`, taken at its
            `target_positions`.
        num_segments: number of examples of the fullest row; later segments are dropped.
        reduction: "sum", or "mean" over the example's own tokens.

    Returns:
        Per row and segment, segment i in column i - 1; float32 (float64 for float64 inputs), <= 0;
        0 for a segment without tokens.

    Raises:
        ValueError: shapes that differ, no segments, or an unknown reduction.
        TypeError: labels that are not integers.

    Source: as `sequence_log_prob`.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> labels, mask, segment_ids = jnp.array([0, 1, 0]), jnp.ones(3, bool), jnp.array([1, 1, 2])
        >>> print(segment_log_prob(jnp.zeros((3, 2)), labels, mask, segment_ids, num_segments=2).round(4))
        [-1.3863 -0.6931]
    """
    log_probs = _label_log_probs(logits, labels, mask)
    return segment_reduce(log_probs, mask, segment_ids, num_segments=num_segments, reduction=reduction)


def _label_log_probs(
    logits: Float[Array, "*batch k v"], labels: Int[Array, "*batch k"], mask: Bool[Array, "*batch k"]
) -> Float[Array, "*batch k"]:
    """Return the log-probability of each label; masked entries are replaced before any computation."""
    _require_labels(logits, labels)
    if mask.shape != labels.shape:
        raise ValueError(
            f"mask must have the shape of labels, {labels.shape}, got {mask.shape}. It marks the tokens to count."
        )
    return -cross_entropy(jnp.where(mask[..., None], logits, 0.0), jnp.where(mask, labels, 0))


def _require_labels(logits: Float[Array, "*tokens v"], labels: Int[Array, "*tokens"]) -> None:
    if logits.shape[:-1] != labels.shape:
        raise ValueError(f"labels must have the leading shape of logits, {logits.shape[:-1]}, got {labels.shape}.")
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"labels must be token ids of an integer dtype, got {labels.dtype}.")
