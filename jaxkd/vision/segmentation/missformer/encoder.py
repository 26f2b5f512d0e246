"""Encoder of MISSFormer: a hierarchical transformer with Enhanced Mix-FFN."""

from flax import nnx
from jaxtyping import Array, Float

from jaxkd.vision.layers import gelu, layer_norm
from jaxkd.vision.segmentation.missformer.attention import EfficientAttention
from jaxkd.vision.segmentation.missformer.weights import Distribution, depthwise, linear, strided

EXPANSION = 4
"""Hidden channels of a feed-forward network, for each of its inputs."""


class EnhancedMixFFN(nnx.Module):
    """Feed-forward network with a depthwise convolution and a skip connection around it.

    t = in(x);  out(GELU(LN(depthwise 3 x 3 (t) + t)))

    Source: Huang et al. (arXiv 2109.07162), Enhanced Mix-FFN; ZhifangDeng/MISSFormer@007424e.  Deviation: t, which the
    released code computes twice, is computed once.
    """

    def __init__(self, width: int, distribution: Distribution, *, unused_layers: bool, rngs: nnx.Rngs):
        """Draw the weights.

        Args:
            width: channels.
            distribution: distribution of the initial weights.
            unused_layers: whether the two normalisations of the released code that nothing calls are there.
            rngs: source of the weights.
        """
        hidden = EXPANSION * width
        self.inner = linear(width, hidden, distribution, rngs=rngs)
        self.local = depthwise(hidden, 3, distribution, rngs=rngs)
        self.norm = layer_norm(hidden, rngs=rngs)
        self.out = linear(hidden, width, distribution, rngs=rngs)
        if unused_layers:
            self.unused_norms = nnx.Dict(norm2=layer_norm(hidden, rngs=rngs), norm3=layer_norm(hidden, rngs=rngs))

    def __call__(self, images: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Return the network's output."""
        inner = self.inner(images)
        return self.out(gelu(self.norm(self.local(inner) + inner)))


class MixBlock(nnx.Module):
    """Transformer block: x + attention(LN(x)), then the same with Enhanced Mix-FFN."""

    def __init__(
        self,
        width: int,
        heads: int,
        reduction: int,
        distribution: Distribution,
        *,
        unused_layers: bool,
        rngs: nnx.Rngs,
    ):
        self.attention_norm = layer_norm(width, rngs=rngs)
        self.attention = EfficientAttention(width, heads, reduction, distribution, rngs=rngs)
        self.feed_forward_norm = layer_norm(width, rngs=rngs)
        self.feed_forward = EnhancedMixFFN(width, distribution, unused_layers=unused_layers, rngs=rngs)

    def __call__(self, images: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Return the block's output."""
        images = images + self.attention(self.attention_norm(images))
        return images + self.feed_forward(self.feed_forward_norm(images))


class EncoderStage(nnx.Module):
    """Overlapping patches, LN, blocks, LN.

    The first stage has patches of 7 x 7 pixels, 4 apart; the later ones have patches of 3 x 3, 2 apart.
    """

    def __init__(
        self,
        before: int,
        width: int,
        *,
        first: bool,
        depth: int,
        heads: int,
        reduction: int,
        unused_layers: bool,
        rngs: nnx.Rngs,
    ):
        size, stride, padding = (7, 4, 3) if first else (3, 2, 1)
        self.patches = strided(before, width, size, "fan_in", stride=stride, padding=padding, rngs=rngs)
        self.patch_norm = layer_norm(width, rngs=rngs)
        self.blocks = nnx.Dict(
            {
                f"block{place}": MixBlock(width, heads, reduction, "fan_in", unused_layers=unused_layers, rngs=rngs)
                for place in range(depth)
            }
        )
        self.norm = layer_norm(width, rngs=rngs)

    def __call__(self, images: Float[Array, "b h w before"]) -> Float[Array, "b rows columns c"]:
        """Return the stage's map."""
        images = self.patch_norm(self.patches(images))
        for place in range(len(self.blocks)):
            images = self.blocks[f"block{place}"](images)
        return self.norm(images)
