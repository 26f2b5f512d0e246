"""Group aggregation bridge, the skip connection of EGE-UNet."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxkd.vision.layers import Depthwise, conv, layer_norm, resize

DILATIONS = (1, 2, 5, 7)
"""Dilation of each group's convolution."""

EPSILON = 1e-6
"""Added to the variance of layer normalisations."""


class GroupAggregationBridge(nnx.Module):
    """Merge a fine feature map with a coarse one under a predicted mask.

    The coarse map is projected to the fine one's channels and resized to its size, with the corners aligned.  A quarter
    of either and the mask form a group: LN, then a depthwise convolution over 3 x 3 pixels of the group's dilation.  The
    four groups together: linear(LN(.)).

    Source: Ruan et al. (arXiv 2307.08473), section 2; JCruan519/EGE-UNet@f52ba30.  Deviation: a mask has a channel for
    each class there is; the released code has one class.
    """

    def __init__(self, coarse: int, fine: int, classes: int, *, rngs: nnx.Rngs):
        """Draw the weights.

        Args:
            coarse: channels of the coarse map.
            fine: channels of the fine map, a multiple of 4.
            classes: channels of the mask.
            rngs: source of the weights.
        """
        each = fine // 2 + classes
        self.project = conv(coarse, fine, 1, rngs=rngs)
        self.norms = nnx.List([layer_norm(each, epsilon=EPSILON, rngs=rngs) for _ in DILATIONS])
        self.groups = nnx.List([Depthwise(each, 3, dilation=dilation, rngs=rngs) for dilation in DILATIONS])
        self.joint_norm = layer_norm(len(DILATIONS) * each, epsilon=EPSILON, rngs=rngs)
        self.out = conv(len(DILATIONS) * each, fine, 1, rngs=rngs)

    def __call__(
        self,
        coarse: Float[Array, "b rows columns coarse"],
        fine: Float[Array, "b h w fine"],
        mask: Float[Array, "b h w classes"],
    ) -> Float[Array, "b h w fine"]:
        """Return the merged map; `mask` holds logits."""
        above = resize(self.project(coarse), (fine.shape[1], fine.shape[2]), align_corners=True)
        pairs = zip(*(jnp.split(one, len(DILATIONS), axis=-1) for one in (above, fine)), strict=True)
        parts = [
            group(norm(jnp.concatenate([*pair, mask], axis=-1)))
            for pair, norm, group in zip(pairs, self.norms, self.groups, strict=True)
        ]
        return self.out(self.joint_norm(jnp.concatenate(parts, axis=-1)))
