"""Attention of VFFM-UNet: rank-1 scores of additive attention, in linear time where they allow it."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from jaxkd.vision.layers import dropout, gelu, layer_norm, linear, pixelwise, resize

Variant: TypeAlias = Literal["released", "intended"]
"""Which of the two an attention computes.

- `released`: the published code.  Its tokens are runs of C memory cells of the channel-first image, and both of its
  softmaxes over tokens are taken over an axis of size 1, so that their weights are 1.
- `intended` (inferred from the paper's abstract): tokens are pixels, and both softmaxes are over the tokens.
"""

AttentionForm: TypeAlias = Literal["closed", "quadratic"]
"""How the weights are computed: without any N x N array in memory, or with it, as published."""

BLOCK = 128
"""Rows of the weights that `intended` computes at once in its closed form."""


class FastAttention(nnx.Module):
    """Attention with the scores T_h = beta_h p_h^T of each head h, pooled over pairs of tokens and resized to N x N.

    With the tokens X [N, C], q = alpha-weighted sum of X W_q, Z = GELU(LayerNorm(X W + b)), k = Z W_k, p = q k and
    scale = floor(C / heads)^-1/2, the output is (sum_h softmax(scale T_h)) Z W_v, projected.

    `released`: alpha = beta = 1, and q_n is the sum over heads of (X W_q)_n.  All rows of the weights are then equal,
    and the closed form computes one, in O(N C): the output is one vector of C channels, repeated, and read as a
    channel-first image, a comb of period C over the pixels.
    `intended`: alpha and beta are softmaxes over the tokens, of X W_q and of p, for each head.  Row i of the weights is
    softmax(scale beta_i p), which depends on beta_i alone, but is no polynomial of it: the closed form computes all
    rows, `BLOCK` at a time, in O(N^2 (heads + C)) operations and O(N BLOCK heads) memory.

    Source: 11penguins/VFFM-UNet@dcfb562, FastSelfAttention; `intended` is inferred.  Deviation: in training, the closed
    form drops weights with one mask for all rows; the quadratic form draws a mask of N x N, as published.
    """

    def __init__(
        self, features: int, *, heads: int, variant: Variant, form: AttentionForm, rate: float, rngs: nnx.Rngs
    ):
        self.variant, self.form, self.rate = variant, form, rate
        self.scale = max(features // heads, 1) ** -0.5
        self.query = linear(features, heads, bias=False, rngs=rngs)
        self.transform = pixelwise(features, features, rngs=rngs)
        self.norm = layer_norm(features, rngs=rngs)
        self.key = linear(features, heads, bias=False, rngs=rngs)
        self.value = linear(features, features, bias=False, rngs=rngs)
        self.project = linear(features, features, rngs=rngs)

    def masks(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the shapes of the masks of images of this shape: of the weights, and of the output."""
        b, h, w, c = shape
        n, heads = h * w, self.query.out_features
        return (b, n, n, heads) if self.form == "quadratic" else (b, n, heads), (b, n, c)

    def __call__(
        self, images: Float[Array, "b h w c"], kept: Sequence[Bool[Array, "..."]] | None = None
    ) -> Float[Array, "b h w c"]:
        """Return the attention's output for each pixel; `kept` are masks of the shapes of `masks` in training."""
        b, h, w, c = images.shape
        released = self.variant == "released"
        tokens = (images.transpose(0, 3, 1, 2) if released else images).reshape(b, h * w, c)
        of_weights, of_outputs = (None, None) if kept is None else kept
        mixed = dropout(self._mixed(tokens, of_weights), of_outputs, self.rate)
        return mixed.reshape(b, c, h, w).transpose(0, 2, 3, 1) if released else mixed.reshape(b, h, w, c)

    def _mixed(self, tokens: Float[Array, "b n c"], kept: Bool[Array, "b n *rest"] | None) -> Float[Array, "b n c"]:
        hidden = gelu(self.norm(self.transform(tokens)))
        products = self._query(tokens) * self.key(hidden)
        if self.form == "closed" and self.variant == "released":
            probs = _softmax(self.scale * _resized(_pooled(products), tokens.shape[1]), axis=1)
            weights = jnp.sum(dropout(probs, kept, self.rate), axis=-1)
            row = self.project(self.value(jnp.einsum("bn,bnc->bc", weights, hidden)))
            return jnp.broadcast_to(row[:, None, :], tokens.shape)
        beta = _softmax(products, axis=1) if self.variant == "intended" else jnp.ones_like(products)
        mix = self._blockwise if self.form == "closed" else self._quadratic
        return self.project(mix(beta, products, self.value(hidden), kept))

    def _query(self, tokens: Float[Array, "b n c"]) -> Float[Array, "batch per_token per_head"]:
        """Return the factor q of the products: a number for each token, or for each head."""
        queries = self.query(tokens)
        if self.variant == "released":
            return jnp.sum(queries, axis=-1, keepdims=True)
        return jnp.sum(_softmax(queries, axis=1) * queries, axis=1, keepdims=True)

    def _quadratic(
        self,
        beta: Float[Array, "b n heads"],
        products: Float[Array, "b n heads"],
        values: Float[Array, "b n c"],
        kept: Bool[Array, "b n n heads"] | None,
    ) -> Float[Array, "b n c"]:
        """Compute the scores as an image of one channel a head, and resize that."""
        count = values.shape[1]
        scores = _pooled(beta)[:, :, None, :] * _pooled(products)[:, None, :, :]
        probs = _softmax(self.scale * resize(scores, (count, count)), axis=2)
        return jnp.einsum("bij,bjc->bic", jnp.sum(dropout(probs, kept, self.rate), axis=-1), values)

    def _blockwise(
        self,
        beta: Float[Array, "b n heads"],
        products: Float[Array, "b n heads"],
        values: Float[Array, "b n c"],
        kept: Bool[Array, "b n heads"] | None,
    ) -> Float[Array, "b n c"]:
        """Compute the rows of the weights in blocks: bilinear resizing keeps the scores of rank 1."""
        count = values.shape[1]
        left, right = (_resized(_pooled(side), count) for side in (beta, products))
        mask = dropout(jnp.ones_like(right), kept, self.rate)

        def mixed(row: Float[Array, "b heads"]) -> Float[Array, "b c"]:
            probs = _softmax(self.scale * row[:, None, :] * right, axis=1)
            return jnp.einsum("bn,bnc->bc", jnp.sum(probs * mask, axis=-1), values)

        rows = jax.lax.map(jax.checkpoint(mixed), left.transpose(1, 0, 2), batch_size=min(BLOCK, count))
        return rows.transpose(1, 0, 2)


def _softmax(scores: Float[Array, "*shape"], axis: int) -> Float[Array, "*shape"]:
    """Return the softmax, computed in float32 or better."""
    wide = scores.astype(jnp.promote_types(scores.dtype, jnp.float32))
    return jax.nn.softmax(wide, axis=axis).astype(scores.dtype)


def _pooled(tokens: Float[Array, "b n heads"]) -> Float[Array, "b pairs heads"]:
    """Return the means of pairs of neighbours; the last of an odd number stands alone."""
    odd = tokens.shape[1] % 2
    first, second = tokens[:, ::2], tokens[:, 1::2]
    means = 0.5 * (first[:, : second.shape[1]] + second)
    return jnp.concatenate([means, first[:, -1:]], axis=1) if odd else means


def _resized(tokens: Float[Array, "b pairs heads"], count: int) -> Float[Array, "b n heads"]:
    """Resize linearly along the tokens."""
    return resize(tokens[:, :, None, :], (count, 1))[:, :, 0, :]
