"""Fusion of VFFM-UNet: attention at three granularities, whose maps are added up by spatial and by channel weights."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from jaxkd.vision.layers import (
    BatchNorm,
    average_pool,
    conv,
    dropout_masks,
    gelu,
    layer_norm,
    linear,
    pixelwise,
    repeat_pixels,
)
from jaxkd.vision.segmentation.fast_attention import AttentionForm, FastAttention, Variant


class GranularityFusion(nnx.Module):
    """Attend to pixels, to 2 x 2 patches and to 4 x 4 windows, one after the other, and fuse the three maps.

    With a1 = A1(u), b = A2(pooled a1), a2 = b enlarged and a3 = A3(pooled b) enlarged, the output is the sum of two
    terms: `SpatialFusion` of all three maps, times u, and `ChannelFusion` of a2 and a3.  A map of odd sides is pooled
    with windows of fewer pixels at its end, and the enlarged one is cropped.

    Source: 11penguins/VFFM-UNet@dcfb562, Granularity_Fusion.  Deviation: none for sides that are multiples of 4; other
    sides are refused there.  Without one of the two terms the output is the other, and without both it is a1.
    """

    def __init__(
        self,
        features: int,
        *,
        heads: int,
        variant: Variant,
        form: AttentionForm,
        rate: float,
        spatial: bool,
        channel: bool,
        rngs: nnx.Rngs,
    ):
        def attention() -> FastAttention:
            return FastAttention(features, heads=heads, variant=variant, form=form, rate=rate, rngs=rngs)

        self.pixel = attention()
        self.patch = attention() if spatial or channel else None
        self.window = attention() if spatial or channel else None
        self.spatial = SpatialFusion(features, rngs=rngs) if spatial else None
        self.channel = ChannelFusion(features, rngs=rngs) if channel else None

    def __call__(
        self, images: Float[Array, "b h w c"], *, train: bool, rngs: nnx.Rngs | None
    ) -> Float[Array, "b h w c"]:
        """Return the fused maps."""
        kept = self._masks(images.shape, rngs)
        pixel = self.pixel(images, kept[0])
        if self.patch is None or self.window is None:
            return pixel
        coarse = self.patch(average_pool(pixel, 2), kept[1])
        coarsest = self.window(average_pool(coarse, 2), kept[2])
        rows, columns = images.shape[1:3]
        patch, window = (
            repeat_pixels(some, factor)[:, :rows, :columns] for some, factor in ((coarse, 2), (coarsest, 4))
        )
        terms = []
        if self.spatial is not None:
            terms.append(self.spatial(pixel, patch, window) * images)
        if self.channel is not None:
            terms.append(self.channel(patch, window, train=train))
        return sum(terms[1:], start=terms[0])

    def _masks(self, shape: tuple[int, ...], rngs: nnx.Rngs | None) -> list[list[Bool[Array, "..."]] | None]:
        """Return the masks of each attention, drawn together."""
        b, h, w, c = shape
        attentions = [one for one in (self.pixel, self.patch, self.window) if one is not None]
        sides = [(b, -(-h // size), -(-w // size), c) for size in (1, 2, 4)]
        shapes = [one for attention, each in zip(attentions, sides, strict=False) for one in attention.masks(each)]
        kept = dropout_masks(shapes, self.pixel.rate, rngs)
        if kept is None:
            return [None] * len(attentions)
        return [kept[start : start + 2] for start in range(0, len(kept), 2)]


class SpatialFusion(nnx.Module):
    """Add maps up with weights for each pixel: Q(sum_i M_i P(a_i)), M = sigmoid(conv 7 x 7 of mean and maximum).

    Mean and maximum are over the channels of all P(a_i) side by side, and P maps to a third of the channels.

    Source: 11penguins/VFFM-UNet@dcfb562, the fusion of pixels, patches and windows, after Li et al. (arXiv 2303.09030),
    section 3.  Deviation: none.
    """

    def __init__(self, features: int, *, rngs: nnx.Rngs):
        self.reduce = pixelwise(features, features // 3, rngs=rngs)
        self.select = conv(2, 3, 7, rngs=rngs)
        self.expand = pixelwise(features // 3, features, rngs=rngs)

    def __call__(self, *maps: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Return the sum of the three maps."""
        reduced = [self.reduce(one) for one in maps]
        mean = sum(jnp.sum(one, axis=-1, keepdims=True) for one in reduced) / (len(maps) * reduced[0].shape[-1])
        highest = jnp.max(jnp.stack([jnp.max(one, axis=-1, keepdims=True) for one in reduced]), axis=0)
        masks = jax.nn.sigmoid(self.select(jnp.concatenate([mean, highest], axis=-1)))
        weighted = [masks[..., place : place + 1] * one for place, one in enumerate(reduced)]
        return self.expand(sum(weighted[1:], start=weighted[0]))


class ChannelFusion(nnx.Module):
    """Mix two maps with a weight g for each channel: g a + (1 - g) b.

    g = sigmoid(W2 ReLU(BatchNorm(W1 s))), where s is the mean of a + b over the pixels.  In training, the statistics
    are those of the batch, so that the bias of W1 has the gradient 0.

    Source: 11penguins/VFFM-UNet@dcfb562, Channel Fusion.  Deviation: none.
    """

    def __init__(self, features: int, *, rngs: nnx.Rngs):
        self.squeeze = linear(features, features // 2, rngs=rngs)
        self.norm = BatchNorm(features // 2)
        self.excite = linear(features // 2, features, rngs=rngs)

    def __call__(
        self, first: Float[Array, "b h w c"], second: Float[Array, "b h w c"], *, train: bool
    ) -> Float[Array, "b h w c"]:
        """Return the mixture."""
        squeezed = self.norm(self.squeeze(jnp.mean(first + second, axis=(1, 2))), train=train)
        weights = jax.nn.sigmoid(self.excite(jax.nn.relu(squeezed)))[:, None, None, :]
        return second + weights * (first - second)


class FastformerBlock(nnx.Module):
    """Fuse attentions and map each pixel: u = LN(x), y = u + fusion(u), z = LN(y), z + W2 GELU(W1 z).

    Both normalisations have the same parameters, and x itself is not added: the residuals are of the normalised maps.

    Source: 11penguins/VFFM-UNet@dcfb562, Fastformer.  Deviation: none.
    """

    def __init__(self, features: int, *, fusion: GranularityFusion, rngs: nnx.Rngs):
        self.norm = layer_norm(features, rngs=rngs)
        self.fusion = fusion
        self.up = pixelwise(features, features, rngs=rngs)
        self.down = pixelwise(features, features, rngs=rngs)

    def __call__(
        self, images: Float[Array, "b h w c"], *, train: bool, rngs: nnx.Rngs | None
    ) -> Float[Array, "b h w c"]:
        """Return the block's output."""
        normalised = self.norm(images)
        again = self.norm(normalised + self.fusion(normalised, train=train, rngs=rngs))
        return again + self.down(gelu(self.up(again)))
