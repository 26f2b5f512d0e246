"""Efficient self-attention: each pixel attends to a map of reduced resolution."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxkd.vision.layers import layer_norm
from jaxkd.vision.segmentation.missformer.weights import Distribution, linear, strided


class EfficientAttention(nnx.Module):
    """Self-attention over the pixels of a map, out(softmax(q k^T / sqrt(width / heads)) v).

    With a reduction r above 1, keys and values are computed from LN(convolution of size and stride r), which has
    1 / r^2 of the pixels.

    Source: Xie et al. (arXiv 2105.15203), efficient self-attention, as in Huang et al. (arXiv 2109.07162);
    ZhifangDeng/MISSFormer@007424e.  Deviation: none.
    """

    def __init__(self, width: int, heads: int, reduction: int, distribution: Distribution, *, rngs: nnx.Rngs):
        """Draw the weights.

        Args:
            width: channels.
            heads: heads.
            reduction: ratio of the map's sides to those of keys and values.
            distribution: distribution of the initial weights.
            rngs: source of the weights.
        """
        self.core = TokenAttention(width, heads, distribution, rngs=rngs)
        reduces = reduction > 1
        self.reduce = strided(width, width, reduction, distribution, stride=reduction, rngs=rngs) if reduces else None
        self.norm = layer_norm(width, rngs=rngs) if reduces else None

    def __call__(self, images: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Return what each pixel reads."""
        context = images if self.reduce is None or self.norm is None else self.norm(self.reduce(images))
        rows, _, _, width = images.shape
        read = self.core(images.reshape(rows, -1, width), context.reshape(rows, -1, width))
        return read.reshape(images.shape)


class TokenAttention(nnx.Module):
    """Attention of tokens to others, softmax in float32."""

    def __init__(self, width: int, heads: int, distribution: Distribution, *, rngs: nnx.Rngs):
        self.heads = heads
        self.query = linear(width, width, distribution, rngs=rngs)
        self.key_value = linear(width, 2 * width, distribution, rngs=rngs)
        self.out = linear(width, width, distribution, rngs=rngs)

    def __call__(self, tokens: Float[Array, "b n c"], context: Float[Array, "b m c"]) -> Float[Array, "b n c"]:
        """Return what each of `tokens` reads from `context`."""
        keys, values = jnp.split(self.key_value(context), 2, axis=-1)
        queries, keys, values = (self._in_heads(one) for one in (self.query(tokens), keys, values))
        dtype = jnp.promote_types(tokens.dtype, jnp.float32)
        scores = jnp.einsum("bnhd,bmhd->bhnm", queries, keys, preferred_element_type=dtype)
        weights = jax.nn.softmax(scores * queries.shape[-1] ** -0.5, axis=-1).astype(values.dtype)
        return self.out(jnp.einsum("bhnm,bmhd->bnhd", weights, values).reshape(tokens.shape))

    def _in_heads(self, tokens: Float[Array, "b n c"]) -> Float[Array, "b n heads each"]:
        return tokens.reshape(*tokens.shape[:2], self.heads, -1)
