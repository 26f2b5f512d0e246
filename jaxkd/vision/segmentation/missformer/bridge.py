"""Enhanced Transformer Context Bridge: tokens of all stages of the encoder attend to one another."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxkd.vision.layers import layer_norm
from jaxkd.vision.segmentation.missformer.attention import TokenAttention
from jaxkd.vision.segmentation.missformer.encoder import EnhancedMixFFN
from jaxkd.vision.segmentation.missformer.weights import strided


class ContextBridge(nnx.Module):
    """Layers that exchange context between maps of several resolutions; the maps keep their shapes.

    Source: Huang et al. (arXiv 2109.07162), Enhanced Transformer Context Bridge; ZhifangDeng/MISSFormer@007424e.
    Deviation: token counts follow from the maps; those of the released code are of images of 224 x 224.
    """

    def __init__(
        self,
        widths: Sequence[int],
        reductions: Sequence[int],
        *,
        depth: int,
        unused_layers: bool,
        rngs: nnx.Rngs,
    ):
        """Draw the weights.

        Args:
            widths: channels of the maps, each a multiple of the first, which is the width of a token.
            reductions: ratio of each map's sides to those of its keys and values.
            depth: layers.
            unused_layers: as in `EnhancedMixFFN`.
            rngs: source of the weights.
        """
        self.layers = nnx.Dict(
            {
                f"layer{place}": BridgeLayer(widths, reductions, unused_layers=unused_layers, rngs=rngs)
                for place in range(depth)
            }
        )

    def __call__(self, maps: Sequence[Float[Array, "b _ _ _"]]) -> list[Float[Array, "b _ _ _"]]:
        """Return the maps with their context."""
        maps = list(maps)
        for place in range(len(self.layers)):
            maps = self.layers[f"layer{place}"](maps)
        return maps


class BridgeLayer(nnx.Module):
    """Layer x + attention(LN(x)), y + FFN(LN(y)), with a feed-forward network for each map at its own width."""

    def __init__(self, widths: Sequence[int], reductions: Sequence[int], *, unused_layers: bool, rngs: nnx.Rngs):
        width = widths[0]
        self.attention_norm = layer_norm(width, rngs=rngs)
        self.attention = TokenAttention(width, 1, "fan_in", rngs=rngs)
        self.reduced = ReducedTokens(widths, reductions, rngs=rngs)
        self.feed_forward_norm = layer_norm(width, rngs=rngs)
        self.feed_forwards = nnx.Dict(
            {
                f"stage{place}": EnhancedMixFFN(each, "fan_in", unused_layers=unused_layers, rngs=rngs)
                for place, each in enumerate(widths)
            }
        )

    def __call__(self, maps: Sequence[Float[Array, "b _ _ _"]]) -> list[Float[Array, "b _ _ _"]]:
        """Return the maps with their context."""
        shapes = [one.shape for one in maps]
        tokens = _tokens(maps, self.attention_norm.num_features)
        normed = self.attention_norm(tokens)
        tokens += self.attention(normed, self.reduced(_maps(normed, shapes)))
        normed = _maps(self.feed_forward_norm(tokens), shapes)
        return [
            one + self.feed_forwards[f"stage{place}"](own)
            for place, (one, own) in enumerate(zip(_maps(tokens, shapes), normed, strict=True))
        ]


class ReducedTokens(nnx.Module):
    """Tokens of maps of reduced resolution: LN(convolution of size and stride r); with r = 1, LN of the map's own."""

    def __init__(self, widths: Sequence[int], reductions: Sequence[int], *, rngs: nnx.Rngs):
        self.convs = nnx.Dict(
            {
                f"stage{place}": strided(width, width, reduction, "fan_in", stride=reduction, rngs=rngs)
                for place, (width, reduction) in enumerate(zip(widths, reductions, strict=True))
                if reduction > 1
            }
        )
        self.norm = layer_norm(widths[0], rngs=rngs)

    def __call__(self, maps: Sequence[Float[Array, "b _ _ _"]]) -> Float[Array, "b n c"]:
        """Return the tokens."""
        width = self.norm.num_features
        convs = [self.convs.get(f"stage{place}") for place in range(len(maps))]
        tokens = [
            _tokens([one], width) if conv is None else _interleaved(conv(one), width)
            for one, conv in zip(maps, convs, strict=True)
        ]
        return self.norm(jnp.concatenate(tokens, axis=1))


def _tokens(maps: Sequence[Float[Array, "b _ _ _"]], width: int) -> Float[Array, "b n c"]:
    """Cut the channels of each pixel into tokens of consecutive ones."""
    return jnp.concatenate([one.reshape(one.shape[0], -1, width) for one in maps], axis=1)


def _maps(tokens: Float[Array, "b n c"], shapes: Sequence[tuple[int, ...]]) -> list[Float[Array, "b _ _ _"]]:
    """Invert `_tokens`."""
    counts = [int(np.prod(shape[1:])) // tokens.shape[-1] for shape in shapes]
    parts = jnp.split(tokens, np.cumsum(counts)[:-1], axis=1)
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def _interleaved(image: Float[Array, "b h w each"], width: int) -> Float[Array, "b n c"]:
    """Cut the channels of each pixel into k tokens, the j-th of which has the channels j, j + k, j + 2 k and so on.

    So does the released code, which reshapes channel-first memory, [b, k c, h w] to [b, c, k h w].
    """
    rows, height, columns, each = image.shape
    tokens = image.reshape(rows, height * columns, width, each // width)
    return jnp.swapaxes(tokens, 2, 3).reshape(rows, -1, width)
