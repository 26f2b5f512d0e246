"""Decoder of MISSFormer: merge with the encoder's map, transformer blocks, patch expanding."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxkd.vision.layers import layer_norm
from jaxkd.vision.segmentation.missformer.encoder import MixBlock
from jaxkd.vision.segmentation.missformer.weights import linear

BLOCKS = 2
"""Transformer blocks of a stage."""


class PatchExpand(nnx.Module):
    """Enlarge a map `factor` times: a linear map to factor^2 pixels for each, LN.

    Source: Cao et al. (arXiv 2105.05537), patch expanding layer; ZhifangDeng/MISSFormer@007424e.  Deviation: none.
    """

    def __init__(self, before: int, after: int, factor: int, *, rngs: nnx.Rngs):
        self.factor = factor
        self.linear = linear(before, factor**2 * after, "xavier", bias=False, rngs=rngs)
        self.norm = layer_norm(after, rngs=rngs)

    def __call__(self, images: Float[Array, "b h w before"]) -> Float[Array, "b rows columns after"]:
        """Return the enlarged map."""
        rows, height, width, _ = images.shape
        pixels = self.linear(images).reshape(rows, height, width, self.factor, self.factor, -1)
        enlarged = jnp.swapaxes(pixels, 2, 3).reshape(rows, height * self.factor, width * self.factor, -1)
        return self.norm(enlarged)


class DecoderStage(nnx.Module):
    """Concatenation with the encoder's map, linear map, transformer blocks; then `PatchExpand`.

    The deepest stage has no map before it, and only expands the encoder's.
    """

    def __init__(
        self,
        before: int,
        width: int,
        after: int,
        *,
        factor: int,
        heads: int,
        reduction: int,
        merges: bool,
        unused_layers: bool,
        rngs: nnx.Rngs,
    ):
        """Draw the weights.

        Args:
            before: channels of the concatenation.
            width: channels of the stage.
            after: channels of the expanded map.
            factor: ratio of the expanded map's sides to the stage's.
            heads: heads of the blocks.
            reduction: reduction of the blocks' keys and values.
            merges: whether the stage has what comes before `PatchExpand`.
            unused_layers: as in `EnhancedMixFFN`; a stage that does not merge also has the layers of one that does.
            rngs: source of the weights.
        """
        if merges or unused_layers:
            self.merge = linear(before, width, "xavier", rngs=rngs)
            self.blocks = nnx.Dict(
                {
                    f"block{place}": MixBlock(width, heads, reduction, "xavier", unused_layers=unused_layers, rngs=rngs)
                    for place in range(BLOCKS)
                }
            )
        self.expand = PatchExpand(width, after, factor, rngs=rngs)

    def __call__(
        self, images: Float[Array, "b h w before"], skip: Float[Array, "b h w skip"] | None = None
    ) -> Float[Array, "b rows columns after"]:
        """Return the expanded map; without `skip`, of `images` as they are."""
        if skip is not None:
            images = self.merge(jnp.concatenate([images, skip], axis=-1))
            for place in range(BLOCKS):
                images = self.blocks[f"block{place}"](images)
        return self.expand(images)
