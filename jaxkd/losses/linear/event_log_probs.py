"""Log-probability that the next token is in a set, from hidden states."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxkd.kernels import linear_divergence_values
from jaxkd.losses.divergence.kl import ForwardKL
from jaxkd.records import Hiddens


def event_log_probs(
    hiddens: Hiddens, event: Bool[Array, " v"], *, mask: Bool[Array, "*tokens"]
) -> Float[Array, "*tokens"]:
    """Return the log of the sum of q over the tokens of a set, in nats, without storing all logits.

    It equals -KL(q given the event || q), in value and, with the first q held fixed, in gradient: so a divergence
    between two heads computes it, part by part and on any mesh.

    Args:
        hiddens: hidden states and a head without soft-cap; gradients reach its values, head weight and head bias.
        event: whether each row of the head is in the set, at least one of them.
        mask: positions to compute; the others may hold anything.

    Returns:
        Per position, at most 0, float32 (float64 for float64 inputs), 0 where the mask is False; differentiable once,
        in reverse mode.

    Raises:
        ValueError: a head with soft-cap, or an event of another length.

    Source: inferred.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxkd.records import Head, Hiddens
        >>> head = Head(weight=jnp.log(jnp.array([[0.5], [0.2], [0.3]])), vocab_size=3)
        >>> event = jnp.array([True, False, True])
        >>> found = event_log_probs(Hiddens(values=jnp.ones((1, 1)), head=head), event, mask=jnp.ones(1, bool))
        >>> round(float(jnp.exp(found[0])), 4)
        0.8
    """
    head = jax.lax.stop_gradient(hiddens.head)
    if head.softcap is not None:
        raise ValueError(
            f"hiddens must have a head without soft-cap, got one of {head.softcap}: it would give the tokens outside "
            "of the event a logit of -softcap."
        )
    if event.shape != head.weight.shape[:1]:
        raise ValueError(
            f"event must have a value for each of the head's {head.weight.shape[0]} rows, got shape {event.shape}."
        )
    bias = jnp.zeros((), head.weight.dtype) if head.bias is None else head.bias
    given = dataclasses.replace(head, bias=jnp.where(event, bias, -jnp.inf))
    within = Hiddens(values=jax.lax.stop_gradient(hiddens.values), head=given)
    return -linear_divergence_values(hiddens, within, mask=mask, divergence=ForwardKL())
