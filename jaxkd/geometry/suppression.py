"""Greedy non-maximum suppression with fixed shapes."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Integer

from jaxkd.geometry.boxes import aligned_iou


def nms(
    corners: Float[Array, "n 4"],
    scores: Float[Array, " n"],
    classes: Integer[Array, " n"],
    *,
    mask: Bool[Array, " n"],
    threshold: float,
    count: int,
) -> tuple[Int[Array, " count"], Bool[Array, " count"]]:
    """Return the boxes that are kept if each suppresses those of its class with a lower score and IoU > `threshold`.

    One step for each box that is kept compares it with all others, so that memory grows with n, not with n^2.

    Args:
        corners: left, top, right and bottom edge of the candidates.
        scores: the higher, the earlier; equal ones in the order of their index.  Any monotone function of them will do.
        classes: a box suppresses boxes of its own class only.
        mask: candidates that exist; the others may hold anything, NaN included.
        threshold: greatest IoU of two boxes of one class that are both kept.
        count: number of boxes that are returned, the highest scores first.

    Returns:
        The indices of the kept boxes in the order of falling scores, and whether each of them is one: where fewer than
        `count` are kept, the last ones are not, and their index is 0.

    Raises:
        ValueError: shapes that do not agree, or a `count` below 1.

    Source: the greedy suppression of Felzenszwalb et al. (2010), for each class; the comparison is that of torchvision
    and mmcv, IoU > threshold.  Deviation: classes are compared, where those shift the boxes of each class apart, which
    costs digits; they leave the order of equal scores open.

    Example:
        >>> import jax.numpy as jnp
        >>> corners = jnp.array([[0.0, 0.0, 9.0, 9.0], [0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 9.0, 9.0]])
        >>> scores, classes, mask = jnp.array([0.8, 0.9, 0.7]), jnp.array([0, 0, 1]), jnp.ones(3, bool)
        >>> indices, kept = nms(corners, scores, classes, mask=mask, threshold=0.5, count=3)
        >>> indices.tolist(), kept.tolist()
        ([1, 2, 0], [True, True, False])
    """
    number = corners.shape[0] if corners.ndim else 0
    if corners.shape != (number, 4) or not scores.shape == classes.shape == mask.shape == (number,):
        raise ValueError(
            f"corners, scores, classes and mask must be [n, 4], [n], [n] and [n], got {corners.shape}, {scores.shape}, "
            f"{classes.shape} and {mask.shape}. Use jax.vmap for the images of a batch."
        )
    if count < 1:
        raise ValueError(f"count must be 1 or more, got {count}: it is the number of rows of the result.")
    if number == 0:
        return jnp.zeros(count, jnp.int32), jnp.zeros(count, bool)
    corners = jnp.where(mask[:, None], jax.lax.stop_gradient(corners), 0)
    # jnp.argsort is stable, and puts NaN last.
    order = jnp.argsort(jnp.where(mask, -jax.lax.stop_gradient(scores), jnp.inf))
    corners, classes = corners[order], classes[order]

    def keep_one(remaining: Bool[Array, " n"], _: None) -> tuple[Bool[Array, " n"], tuple[Array, Array]]:
        place = jnp.argmax(remaining)  # the first that remains
        overlap = aligned_iou(jnp.broadcast_to(corners[place], corners.shape), corners)
        suppressed = (overlap > threshold) & (classes == classes[place])
        suppressed |= jnp.arange(number) == place  # a box without area does not overlap even itself
        return remaining & ~suppressed, (place, remaining[place])

    _, (places, kept) = jax.lax.scan(keep_one, mask[order], length=count)
    return jnp.where(kept, order[places], 0), kept
