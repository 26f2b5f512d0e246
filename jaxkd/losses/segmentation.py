"""Losses of binary segmentation: Dice, and its weighted sum with the cross entropy.  One value per image."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Integer

from jaxkd.losses.bernoulli import binary_cross_entropy


def dice_loss(
    logits: Float[Array, "*b height width"],
    targets: Float[Array, "*b height width"] | Integer[Array, "*b height width"] | Bool[Array, "*b height width"],
    *,
    smooth: float = 1e-5,
    squared: bool = False,
    mask: Bool[Array, "*b height width"] | None = None,
) -> Float[Array, "*b"]:
    """Return 1 - (2 sum(p t) + smooth) / (sum(p) + sum(t) + smooth), p = sigmoid(logits), over an image's pixels.

    Where p and t are 0 or 1, it is 1 - DSC of `jaxkd.metrics.binary_segmentation_metrics`, up to `smooth`.  Its
    gradient vanishes where p is 0 or 1, though it be wrong; that of `binary_cross_entropy` does not.

    Args:
        logits: log-odds of the foreground, of any float dtype; gradients reach them.
        targets: share of the foreground in each pixel, in [0, 1]; gradient-stopped.
        smooth: added to numerator and denominator, > 0.  An image without foreground costs sum(p) / (sum(p) + smooth).
        squared: divide by sum(p^2) + sum(t^2) + smooth instead.
        mask: pixels that count, all by default.  Masked entries may hold anything, NaN included.

    Returns:
        Per image, float32 (float64 if an input is), in [0, 1]; 0 with gradient 0 for an image without pixels.  It is
        computed as a sum of positive terms over the denominator, so that small losses keep their digits.

    Raises:
        ValueError: shapes that differ, or a `smooth` that is not positive.

    Source: 11penguins/VFFM-UNet@dcfb562, the code of arXiv 2504.03108, per image; `squared`: Milletari et al., V-Net
    (arXiv 1606.04797), section 3, as in ZhifangDeng/MISSFormer@007424e.  Deviation: none; V-Net has no `smooth`.

    Example:
        >>> import jax.numpy as jnp
        >>> logits, targets = jnp.array([[[0.0, 0.0]]]), jnp.array([[[True, False]]])
        >>> dice_loss(logits, targets).round(4).tolist()  # 1 - (2 * 0.5) / (1 + 1)
        [0.5]
        >>> dice_loss(logits, targets, squared=True).round(3).tolist()  # 1 - (2 * 0.5) / (0.5 + 1)
        [0.3330000042915344]
    """
    if not smooth > 0:
        raise ValueError(f"smooth must be > 0, got {smooth}. Without it an image that is all background is 0 / 0.")
    logits, targets, mask = _comparable(logits, targets, mask)
    present, absent = jax.nn.sigmoid(logits), jax.nn.sigmoid(-logits)
    wrongly_present, wrongly_absent = present * (1 - targets), targets * absent
    if squared:  # p^2 + t^2 - 2 p t
        gap, size = jnp.square(wrongly_present - wrongly_absent), jnp.square(present) + jnp.square(targets)
    else:  # p + t - 2 p t
        gap, size = wrongly_present + wrongly_absent, present + targets
    return _sum(gap, mask) / (_sum(size, mask) + smooth)


def bce_dice_loss(
    logits: Float[Array, "*b height width"],
    targets: Float[Array, "*b height width"] | Integer[Array, "*b height width"] | Bool[Array, "*b height width"],
    *,
    bce_weight: float = 0.4,
    dice_weight: float = 0.6,
    smooth: float = 1e-5,
    mask: Bool[Array, "*b height width"] | None = None,
) -> Float[Array, "*b"]:
    """Return bce_weight * mean(`binary_cross_entropy`) + dice_weight * `dice_loss`, the mean over an image's pixels.

    Args:
        logits: log-odds of the foreground, of any float dtype; gradients reach them.
        targets: share of the foreground in each pixel, in [0, 1]; gradient-stopped.
        bce_weight: weight of the cross entropy, in nats per pixel; 0 or more.
        dice_weight: weight of the Dice loss, 0 or more.
        smooth: as in `dice_loss`.
        mask: pixels that count, all by default.  Masked entries may hold anything, NaN included.

    Returns:
        Per image, float32 (float64 if an input is), >= 0; 0 with gradient 0 for an image without pixels.

    Raises:
        ValueError: shapes that differ, a negative weight, or a `smooth` that is not positive.

    Source: the code of VFFM-UNet (arXiv 2504.03108), 11penguins/VFFM-UNet@dcfb562, with its weights.  Deviation: the
    cross entropy of that code is a softmax over one class, -t log(1), so that its value and its gradient are 0 and the
    published model minimises 0.6 Dice alone, which is `bce_weight=0` here.  The binary cross entropy is inferred.

    Example:
        >>> import jax.numpy as jnp
        >>> logits, targets = jnp.array([[[0.0, 0.0]]]), jnp.array([[[True, False]]])
        >>> round(float(bce_dice_loss(logits, targets)[0]), 4)  # 0.4 * log 2 + 0.6 * 0.5
        0.5773
    """
    for name, weight in (("bce_weight", bce_weight), ("dice_weight", dice_weight)):
        if not weight >= 0:
            raise ValueError(f"{name} must be 0 or more, got {weight}. Both losses are minimised.")
    dice = dice_loss(logits, targets, smooth=smooth, mask=mask)
    logits, targets, mask = _comparable(logits, targets, mask)
    nats = binary_cross_entropy(logits, targets)
    mean = _sum(nats, mask) / jnp.maximum(jnp.sum(mask, axis=(-2, -1)), 1)
    return bce_weight * mean + dice_weight * dice


def _comparable(
    logits: Float[Array, "*b height width"],
    targets: Float[Array, "*b height width"] | Integer[Array, "*b height width"] | Bool[Array, "*b height width"],
    mask: Bool[Array, "*b height width"] | None,
) -> tuple[Float[Array, "*b height width"], Float[Array, "*b height width"], Bool[Array, "*b height width"]]:
    """Return logits and gradient-stopped targets in float32 or wider, 0 where masked, and the mask."""
    if logits.ndim < 2 or logits.shape != targets.shape:
        raise ValueError(
            f"logits and targets must be [*images, height, width] of one shape, got {logits.shape} and "
            f"{targets.shape}. A single channel is squeezed first; resize the logits to the targets' resolution."
        )
    if mask is None:
        mask = jnp.ones(logits.shape, bool)
    if mask.shape != logits.shape:
        raise ValueError(f"mask must have an entry for each pixel, shape {logits.shape}, got {mask.shape}.")
    dtype = jnp.promote_types(jnp.float32, jnp.result_type(logits, targets))
    # Replace before the sigmoid: a gradient of 0 times NaN is NaN.
    logits, targets = (jnp.where(mask, one.astype(dtype), 0.0) for one in (logits, targets))
    return logits, jax.lax.stop_gradient(targets), mask


def _sum(values: Float[Array, "*b height width"], mask: Bool[Array, "*b height width"]) -> Float[Array, "*b"]:
    return jnp.sum(jnp.where(mask, values, 0.0), axis=(-2, -1))
