"""The product of hidden states and a prediction head, over all of its rows or a tile of them."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxkd.records import Head, Hiddens

LogitGradient = Float[Array, "n r"]
TileGradient = tuple[Float[Array, "n d"], Float[Array, "r d"], Float[Array, " r"] | None]


def head_logits(hiddens: Hiddens) -> Float[Array, "*tokens v"]:
    """Return the logits, `softcap * tanh(scale * (values @ weight.T + bias) / softcap)`, in float32.

    The product accumulates in float32 for any input dtype.  Rows at and beyond the head's `vocab_size` are padding and
    get -inf, so that a softmax gives them probability exactly 0.

    Returns:
        Logits in nats up to a constant per position, float32 (float64 for float64 inputs).

    Source: inferred; the soft-cap is Gemma 2's (arXiv 2408.00118, section 2).  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxkd.records import Head, Hiddens
        >>> head = Head(weight=jnp.eye(4, 2), vocab_size=3)
        >>> head_logits(Hiddens(values=jnp.array([2.0, 5.0]), head=head)).tolist()
        [2.0, 5.0, 0.0, -inf]
    """
    head = hiddens.head
    real = jnp.arange(head.weight.shape[0]) < head.vocab_size
    return _from_products(head, _product(hiddens.values, head.weight), head.bias, real)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tile:
    """The logits of consecutive rows of a head, and their derivative."""

    start: Int[Array, ""] | int
    """First row."""
    logits: Float[Array, "n r"]
    ids: Int[Array, " r"]
    """Token ids of the rows; -1 for a row of an earlier tile, whose logits are -inf here."""
    pull: Callable[[LogitGradient], TileGradient]
    """Maps the gradient of the logits to that of the values, the rows and their bias, in float32 or wider."""


def tile_logits(
    hiddens: Hiddens, start: Int[Array, ""] | int, size: int, *, limit: int, first_id: Int[Array, ""] | int = 0
) -> Tile:
    """Compute the logits of the rows [start, start + size) of a head.

    A tile that would pass `limit` ends there instead, and marks the rows it shares with the tile before.

    Args:
        hiddens: hidden states of a flat list of tokens, and the head.
        start: first row.
        size: number of rows, at most `limit`.
        limit: number of rows of the head that tiles cover.
        first_id: token id of the head's first row.
    """
    head, values = hiddens.head, hiddens.values
    held = jnp.minimum(start, limit - size)
    rows = jnp.arange(size) + held
    ids = jnp.where(rows >= start, rows + first_id, -1).astype(jnp.int32)
    real = (ids >= 0) & (ids < head.vocab_size)
    weight = _rows(head.weight, held, size)
    bias = None if head.bias is None else _rows(head.bias, held, size)
    logits, pull_products = jax.vjp(
        lambda product, bias: _from_products(head, product, bias, real), _product(values, weight), bias
    )

    def pull(gradient: LogitGradient) -> TileGradient:
        product_gradient, bias_gradient = pull_products(gradient)
        # Keep bfloat16 operands in the products of the gradient, or XLA would make widened copies of the others.
        narrow, wide = product_gradient.astype(values.dtype), product_gradient.dtype
        values_gradient = jnp.einsum("nr,rd->nd", narrow, weight, preferred_element_type=wide)
        weight_gradient = jnp.einsum("nr,nd->rd", narrow, values, preferred_element_type=wide)
        return values_gradient, weight_gradient, bias_gradient

    return Tile(start=held, logits=logits, ids=ids, pull=pull)


def _rows(array: Float[Array, "v ..."], start: Int[Array, ""] | int, size: int) -> Float[Array, "r ..."]:
    """Return rows of an array; the array itself if that is all of them, because a slice would be a copy."""
    return array if size == array.shape[0] else jax.lax.dynamic_slice_in_dim(array, start, size)


def _product(values: Float[Array, "*tokens d"], weight: Float[Array, "r d"]) -> Float[Array, "*tokens r"]:
    wide = jnp.promote_types(jnp.float32, values.dtype)
    return jnp.einsum("...d,rd->...r", values, weight, preferred_element_type=wide)


def _from_products(
    head: Head, product: Float[Array, "*tokens r"], bias: Float[Array, " r"] | None, real: Bool[Array, " r"]
) -> Float[Array, "*tokens r"]:
    if bias is not None:
        product += jnp.broadcast_to(bias.astype(product.dtype), product.shape)
    if head.scale != 1.0:
        product *= head.scale
    if head.softcap is not None:
        product = head.softcap * jnp.tanh(product / head.softcap)
    return jnp.where(jnp.broadcast_to(real, product.shape), product, -jnp.inf)
