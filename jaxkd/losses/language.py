"""Losses on labels: what a language model is trained on without a teacher."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def cross_entropy(logits: Float[Array, "*tokens v"], labels: Int[Array, "*tokens"]) -> Float[Array, "*tokens"]:
    """-log softmax(logits)[label], in nats.

    Args:
        logits: any float dtype; -inf marks a row that is not a token.
        labels: token ids in [0, v); mask the result where a position has none.

    Returns:
        Per position, float32 (float64 for float64 inputs).

    Raises:
        ValueError: leading shapes that differ.
        TypeError: labels that are not integers.

    Source: inferred.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> round(float(cross_entropy(jnp.zeros(8), jnp.array(3))), 4)  # log 8
        2.0794
    """
    if logits.shape[:-1] != labels.shape:
        raise ValueError(f"labels must have the leading shape of logits, {logits.shape[:-1]}, got {labels.shape}.")
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"labels must be token ids of an integer dtype, got {labels.dtype}.")
    logits = logits.astype(jnp.promote_types(jnp.float32, logits.dtype))
    label_logits = jnp.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
    return jax.nn.logsumexp(logits, axis=-1) - label_logits
