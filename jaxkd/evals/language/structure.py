"""Structure of the hidden states of an answer: the similarities between its tokens."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxkd.losses.feature.vectors import unit
from jaxkd.records import Mean


def structure_distances(
    ours: Float[Array, "b k d"], theirs: Float[Array, "b k e"], together: Bool[Array, "b k k"]
) -> dict[str, Mean]:
    """Distance of two models' structures, which need not have the same width.

    The structure of an answer is the matrix of similarities between its hidden states: cosines, or inner products
    divided by their mean square length.  The distance is the mean absolute difference of two such matrices.

    Args:
        ours: hidden states of one model.
        theirs: those of another one at the same tokens.
        together: whether two tokens are of one answer and both count.

    Returns:
        `cosine_distance` and `inner_product_distance`, sums over answers and their number.

    Source: the analysis of DSKD (arXiv 2406.17328), section 4.  Deviation: that code sums over tokens; how it scales
    inner products is inferred.
    """
    return {
        "cosine_distance": _distance(_cosines(ours), _cosines(theirs), together),
        "inner_product_distance": _distance(
            _inner_products(ours, together), _inner_products(theirs, together), together
        ),
    }


def _cosines(hiddens: Float[Array, "b k d"]) -> Float[Array, "b k k"]:
    units = unit(hiddens.astype(jnp.promote_types(jnp.float32, hiddens.dtype)))
    return jnp.einsum("bpd,bqd->bpq", units, units)


def _inner_products(hiddens: Float[Array, "b k d"], together: Bool[Array, "b k k"]) -> Float[Array, "b k k"]:
    """Inner products, divided by the mean square length over the tokens of the answer."""
    wide = hiddens.astype(jnp.promote_types(jnp.float32, hiddens.dtype))
    squares = jnp.sum(jnp.square(wide), axis=-1)
    mean = jnp.sum(jnp.where(together, squares[:, None, :], 0), axis=-1) / jnp.maximum(jnp.sum(together, axis=-1), 1)
    return jnp.einsum("bpd,bqd->bpq", wide, wide) / jnp.where(mean == 0, 1, mean)[:, :, None]


def _distance(ours: Float[Array, "b k k"], theirs: Float[Array, "b k k"], together: Bool[Array, "b k k"]) -> Mean:
    """Sum over answers of the mean over their pairs of tokens, and the number of answers."""
    tokens = jnp.sum(together, axis=-1)  # number in each token's answer
    share = jnp.where(tokens > 0, 1 / jnp.maximum(tokens, 1), 0)
    gaps = jnp.sum(jnp.where(together, jnp.abs(ours - theirs), 0), axis=-1)
    return Mean(total=jnp.sum(gaps * share * share), count=jnp.sum(share))
