"""Weak supervision of a backbone by the classes in an image and by the boxes around them."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Integer

from jaxkd.losses.bernoulli import binary_cross_entropy

_SMOOTH = 1e-3


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class WeakSupervisionLoss:
    """Terms of one level of features, per image."""

    mask_loss: Float[Array, " b"]
    """L_mask: half the sum of a cross entropy, in nats, and a Dice loss."""
    class_loss: Float[Array, " b"]
    """L_cls: half the sum of two cross entropies, in nats."""


def weak_supervision_loss(
    class_logits: Float[Array, "b c"],
    mask_logits: Float[Array, "b h w c"],
    labels: Float[Array, "b c"] | Integer[Array, "b c"] | Bool[Array, "b c"],
    masks: Float[Array, "b h w c"] | Integer[Array, "b h w c"] | Bool[Array, "b h w c"],
    score_logits: Float[Array, "b c"],
    *,
    label_share: float = 0.9,
) -> WeakSupervisionLoss:
    """Return L_mask = (BCE + Dice) / 2 of masks, and L_cls = (BCE + BCE) / 2 of two sides that learn classes mutually.

    With z `class_logits`, M `mask_logits`, y `labels`, G `masks`, c `score_logits` and r `label_share`,

        L_mask = (BCE(M, G) + Dice(sigmoid(M), G)) / 2
        L_cls  = (BCE(z, r y + (1 - r) sigmoid(c)) + BCE(c, r y + (1 - r) sigmoid(z))) / 2

    where BCE is the mean of `binary_cross_entropy` over an image's entries, its targets gradient-stopped, and
    Dice(a, b) = 1 - 2 sum(a b) / (sum(a^2) + 1e-3 + sum(b^2) + 1e-3) is over an image's classes and positions together.
    This is one level of features: the mean over levels, and the sum of the two terms, are the caller's.

    Args:
        class_logits: log-odds that a class is in the image, of any float dtype; gradients reach them.
        mask_logits: log-odds that a position shows a class; gradients reach them.
        labels: whether a class is in the image, in [0, 1]; gradient-stopped.
        masks: whether a position is in a box of a class, as by `jaxkd.vision.detection.union_masks`; gradient-stopped.
        score_logits: log-odds of the classes by another model, such as CLIP's scores after a small network that is
            trained along; gradients reach them.
        label_share: part of the labels in the targets of the classes, in [0, 1]; the rest is the other side's.

    Returns:
        Both terms per image, float32 (float64 if an input is), >= 0.  An image without boxes costs a Dice of 1 with
        gradient 0: its masks learn from the cross entropy alone.

    Raises:
        ValueError: shapes that do not fit, or a share outside [0, 1].

    Source: the weakly supervised learning of arXiv 2405.16038, from the code
    XueZ-phd/Efficient-RGB-T-Early-Fusion-Detection@8b8a6fa, per image.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> undecided = jnp.zeros((1, 1)), jnp.zeros((1, 2, 2, 1))
        >>> loss = weak_supervision_loss(*undecided, jnp.ones((1, 1)), jnp.ones((1, 2, 2, 1)), jnp.zeros((1, 1)))
        >>> round(float(loss.class_loss[0]), 4), round(float(loss.mask_loss[0]), 4)  # log 2, (log 2 + 1 - 4 / 5) / 2
        (0.6931, 0.4467)
    """
    _require_comparable(class_logits, mask_logits, labels, masks, score_logits)
    if not 0 <= label_share <= 1:
        raise ValueError(f"label_share must be in [0, 1], got {label_share}. The rest of a target is the other side's.")
    dtype = jnp.promote_types(jnp.float32, jnp.result_type(class_logits, mask_logits, score_logits))
    class_logits, mask_logits, score_logits = (one.astype(dtype) for one in (class_logits, mask_logits, score_logits))
    labels, masks = (jax.lax.stop_gradient(one.astype(dtype)) for one in (labels, masks))
    of_masks = jnp.mean(binary_cross_entropy(mask_logits, masks), axis=(1, 2, 3)) + _dice(mask_logits, masks)
    of_classes = jnp.zeros(len(labels), dtype)
    for learner, other in ((class_logits, score_logits), (score_logits, class_logits)):
        soft = label_share * labels + (1 - label_share) * jax.nn.sigmoid(jax.lax.stop_gradient(other))
        of_classes += jnp.mean(binary_cross_entropy(learner, soft), axis=1)
    return WeakSupervisionLoss(mask_loss=of_masks / 2, class_loss=of_classes / 2)


def _dice(logits: Float[Array, "b h w c"], masks: Float[Array, "b h w c"]) -> Float[Array, " b"]:
    probs = jax.nn.sigmoid(logits)
    overlap, size = probs * masks, jnp.square(probs) + jnp.square(masks)
    return 1 - 2 * jnp.sum(overlap, axis=(1, 2, 3)) / (jnp.sum(size, axis=(1, 2, 3)) + 2 * _SMOOTH)


def _require_comparable(
    class_logits: Array, mask_logits: Array, labels: Array, masks: Array, score_logits: Array
) -> None:
    shapes = class_logits.shape, labels.shape, score_logits.shape
    if class_logits.ndim != 2 or len(set(shapes)) > 1:
        raise ValueError(
            f"class_logits, labels and score_logits must be [images, classes] of one shape, got {shapes[0]}, "
            f"{shapes[1]} and {shapes[2]}. Scores of further prompts are cut off first."
        )
    fits = mask_logits.ndim == 4 and (mask_logits.shape[0], mask_logits.shape[3]) == class_logits.shape
    if not fits or mask_logits.shape != masks.shape:
        raise ValueError(
            f"mask_logits and masks must be [images, height, width, classes] of one shape, with the images and classes "
            f"{class_logits.shape} of class_logits, got {mask_logits.shape} and {masks.shape}. Resize the masks to the "
            "level."
        )
