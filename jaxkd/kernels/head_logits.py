"""The product of hidden states and a prediction head."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.records import Hiddens


def head_logits(hiddens: Hiddens) -> Float[Array, "*tokens v"]:
    """Logits, `softcap * tanh(scale * (values @ weight.T + bias) / softcap)`, in float32.

    The product accumulates in float32 whatever the inputs are.  Rows at and beyond the head's
    `vocab_size` get -inf: they are not tokens, and a softmax gives them probability exactly 0.

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
    precision = jnp.promote_types(jnp.float32, hiddens.values.dtype)
    logits = jnp.einsum("...d,vd->...v", hiddens.values, head.weight, preferred_element_type=precision)
    if head.bias is not None:
        logits += jnp.broadcast_to(head.bias, logits.shape)
    if head.scale != 1.0:
        logits *= head.scale
    if head.softcap is not None:
        logits = head.softcap * jnp.tanh(logits / head.softcap)
    rows = head.weight.shape[0]
    if head.vocab_size < rows:
        logits = jnp.where(jnp.arange(rows) < head.vocab_size, logits, -jnp.inf)
    return logits
