"""Group aggregation bridge, the skip connection of EGE-UNet."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxkd.vision.layers import Depthwise, layer_norm, pixelwise, resize

DILATIONS = (1, 2, 5, 7)
"""Dilation of each group's convolution."""

EPSILON = 1e-6
"""Added to the variance of layer normalisations."""


class GroupAggregationBridge(nnx.Module):
    """Merge a fine feature map with a coarse one under a predicted mask.

    The coarse map is projected to the fine one's channels and resized to its size, with the corners aligned.  A quarter
    of either and the mask form a group, which is normalised and convolved over 3 x 3 pixels of the group's dilation,
    each channel by itself.  The result is linear(LN(concatenation of the four groups)).

    Source: Ruan et al. (arXiv 2307.08473), Group Aggregation Bridge; JCruan519/EGE-UNet@f52ba30.  Deviation: the mask
    may have several classes, a channel each.
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
        self.project = pixelwise(coarse, fine, rngs=rngs)
        self.groups = nnx.Dict(
            {f"group{place}": MaskedGroup(each, dilation, rngs=rngs) for place, dilation in enumerate(DILATIONS)}
        )
        self.joint_norm = layer_norm(len(DILATIONS) * each, epsilon=EPSILON, rngs=rngs)
        self.out = pixelwise(len(DILATIONS) * each, fine, rngs=rngs)

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
            self.groups[f"group{place}"](jnp.concatenate([*pair, mask], axis=-1)) for place, pair in enumerate(pairs)
        ]
        return self.out(self.joint_norm(jnp.concatenate(parts, axis=-1)))


class MaskedGroup(nnx.Module):
    """Layer normalisation, then a dilated depthwise convolution."""

    def __init__(self, features: int, dilation: int, *, rngs: nnx.Rngs):
        self.norm = layer_norm(features, epsilon=EPSILON, rngs=rngs)
        self.conv = Depthwise(features, 3, dilation=dilation, rngs=rngs)

    def __call__(self, images: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Return the group's part of the concatenation."""
        return self.conv(self.norm(images))
