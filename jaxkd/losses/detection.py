"""Losses of dense detection: quality focal loss, distribution focal loss and generalised IoU, without reduction."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.geometry import generalised_iou
from jaxkd.losses.bernoulli import binary_cross_entropy

CLIPPED_BINS = 0.1
"""Distance from the last bin at which the targets of `distribution_focal_loss` are clipped."""


def quality_focal_loss(
    logits: Float[Array, "*b c"], quality: Float[Array, "*b c"], *, beta: float = 2.0
) -> Float[Array, "*b c"]:
    """Return abs(q - sigmoid(z))^beta * BCE(z, q), in nats, with z the logits and q the quality.

    A class's score estimates the IoU of the box if the object is of that class, and 0 otherwise.  The factor lowers the
    cost of the many cells that are nearly right.

    Args:
        logits: of any float dtype; gradients reach them, through the factor too.
        quality: IoU of the predicted box at the object's class, 0 at the other classes and in the background; in
            [0, 1], gradient-stopped.
        beta: exponent of the factor, >= 0; at 0 the loss is `binary_cross_entropy`.

    Returns:
        Per class, float32 (float64 if an input is), >= 0; 0 with gradient 0 where sigmoid(z) = q, for beta > 0.  It
        grows with the logits where they are wrong, since none of it is computed from a rounded probability.  A logit
        of +-inf costs 0 where it is right and inf where it is wrong.

    Raises:
        ValueError: shapes that differ, or a negative `beta`.

    Source: Li et al. (arXiv 2006.04388), equation 5; open-mmlab/mmdetection@030b568, `quality_focal_loss`, which adds
    up the classes.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> found = quality_focal_loss(jnp.array([0.0, 0.0, -1e4]), jnp.array([1.0, 0.5, 1.0]))
        >>> found.round(4).tolist()  # (1 - 0.5)^2 * log 2; right; certain and wrong
        [0.17329999804496765, 0.0, 10000.0]
    """
    if logits.shape != quality.shape:
        raise ValueError(
            f"quality must have the shape of logits, got {quality.shape} and {logits.shape}. It has an entry for each "
            "class: 0 for those that the object is not of."
        )
    if not beta >= 0:
        raise ValueError(f"beta must be 0 or more, got {beta}. It is an exponent of an error in [0, 1].")
    nats = binary_cross_entropy(logits, quality)
    if beta == 0:
        return nats
    z, q = logits.astype(nats.dtype), jax.lax.stop_gradient(quality.astype(nats.dtype))
    # (1 - q) p - q (1 - p) instead of p - q, which is 0 where p is rounded to 1.
    error = jnp.abs((1 - q) * jax.nn.sigmoid(z) - q * jax.nn.sigmoid(-z))
    wrong = error != 0  # NaN is wrong
    factor = jnp.where(wrong, jnp.where(wrong, error, 1.0) ** beta, 0.0)  # beta < 1 has no slope at 0
    return jnp.where(wrong, factor * jnp.where(wrong, nats, 0.0), 0.0)


def distribution_focal_loss(logits: Float[Array, "*b bins"], distance: Float[Array, "*b"]) -> Float[Array, "*b"]:
    """Return -(i + 1 - y) log p_i - (y - i) log p_{i+1}, in nats, with p = softmax(logits) and i = floor(y).

    It is the cross entropy with the distribution on the two bins next to y whose mean is y, so that its minimum is the
    entropy of that distribution and not 0.

    Args:
        logits: bin i stands for a distance of i; of any float dtype; gradients reach them.
        distance: y, in bins, clipped to [0, bins - 1.1]; gradient-stopped.

    Returns:
        Per distance, float32 (float64 if an input is), >= 0.

    Raises:
        ValueError: fewer than two bins, or distances of another shape than the logits without their last axis.

    Source: Li et al. (arXiv 2006.04388), equation 6; open-mmlab/mmdetection@030b568, `distribution_focal_loss`, and
    @6fc47b7, `bbox2distance`, which clips.  Deviation: none; the paper does not clip.

    Example:
        >>> import jax.numpy as jnp
        >>> logits = jnp.log(jnp.array([0.5, 0.25, 0.25]))
        >>> round(float(distribution_focal_loss(logits, jnp.array(0.5))), 4)  # (log 2 + log 4) / 2
        1.0397
    """
    bins = _require_bins(logits)
    if logits.shape[:-1] != distance.shape:
        raise ValueError(
            f"distance must have one entry for each row of logits, shape {logits.shape[:-1]}, got {distance.shape}."
        )
    dtype = jnp.promote_types(jnp.float32, jnp.result_type(logits, distance))
    target = jnp.clip(jax.lax.stop_gradient(distance.astype(dtype)), 0, bins - 1 - CLIPPED_BINS)
    places = jnp.broadcast_to(jnp.arange(bins, dtype=dtype), logits.shape)
    weights = jnp.maximum(1 - jnp.abs(places - target[..., None]), 0)
    log_probs = jax.nn.log_softmax(logits.astype(dtype), axis=-1)
    # 0 times -inf is 0; NaN stays.
    return -jnp.sum(weights * jnp.where((weights > 0) | jnp.isnan(log_probs), log_probs, 0.0), axis=-1)


def expected_distance(logits: Float[Array, "*b bins"]) -> Float[Array, "*b"]:
    """Return sum_i i * softmax(logits)_i, the mean of the distribution over the bins, in bins.

    Args:
        logits: bin i stands for a distance of i; of any float dtype; gradients reach them.

    Returns:
        Per distribution, float32 (float64 if the input is), in [0, bins - 1].

    Raises:
        ValueError: fewer than two bins.

    Source: Li et al. (arXiv 2006.04388), equation 4; open-mmlab/mmdetection@0009b6e, `Integral`.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> float(expected_distance(jnp.log(jnp.array([0.5, 0.25, 0.25]))))
        0.75
    """
    bins = _require_bins(logits)
    dtype = jnp.promote_types(jnp.float32, logits.dtype)
    places = jnp.broadcast_to(jnp.arange(bins, dtype=dtype), logits.shape)
    return jnp.sum(jax.nn.softmax(logits.astype(dtype), axis=-1) * places, axis=-1)


def giou_loss(predicted: Float[Array, "*b 4"], target: Float[Array, "*b 4"]) -> Float[Array, "*b"]:
    """Return 1 - GIoU of each predicted box with its target.

    Args:
        predicted: left, top, right and bottom edge; gradients reach them.
        target: corners in the same unit; gradient-stopped.

    Returns:
        Per box, float32 (float64 if an input is), in [0, 2]; above 1 where the boxes do not touch.

    Raises:
        ValueError: shapes that differ, or a last axis that does not hold four edges.

    Source: Rezatofighi et al. (arXiv 1902.09630), algorithm 2.  Deviation: none but that of `generalised_iou`.

    Example:
        >>> import jax.numpy as jnp
        >>> boxes = jnp.array([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0]])
        >>> giou_loss(boxes, jnp.array([[0.0, 0.0, 1.0, 1.0], [3.0, 0.0, 4.0, 1.0]])).tolist()
        [0.0, 1.5]
    """
    return 1 - generalised_iou(predicted, jax.lax.stop_gradient(target))


def _require_bins(logits: Float[Array, "..."]) -> int:
    bins = logits.shape[-1] if logits.ndim else 0
    if bins < 2:
        raise ValueError(f"logits must have two or more bins on their last axis, got shape {logits.shape}.")
    return bins
