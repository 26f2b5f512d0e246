"""Hidden states and the heads that read them; distributions of a teacher in other forms."""

import dataclasses
from typing import Any

import jax
from jaxtyping import Array, Float, Int


def _static(**kwargs: Any) -> Any:
    """A field that is part of a record's tree structure, not one of its leaves."""
    return dataclasses.field(metadata={"static": True}, **kwargs)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Head:
    """The prediction head: what turns a hidden state into logits.

    `logits = softcap * tanh(scale * (hidden @ weight.T + bias) / softcap)`; without a soft-cap the
    tanh is left out.  Rows at and beyond `vocab_size` pad the matrix and have logit -inf.
    """

    weight: Float[Array, "v d"]
    bias: Float[Array, " v"] | None = None
    scale: float = _static(default=1.0)
    softcap: float | None = _static(default=None)
    vocab_size: int = _static()


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Hiddens:
    """Hidden states after the final norm, and the head that reads them.  Logits are never stored."""

    values: Float[Array, "*tokens d"]
    head: Head


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class TopK:
    """A teacher's distributions, kept as their k likeliest tokens and one bucket for all others."""

    ids: Int[Array, "*tokens k"]
    """Distinct token ids; one outside [0, vocab_size) is no token."""
    log_probs: Float[Array, "*tokens k"]
    """Of those tokens under the whole distribution: not renormalised; -inf where the id is no token."""
    log_tail: Float[Array, "*tokens"]
    """Log of the probability of all other tokens together; -inf where there are none."""
    temperature: float = _static(default=1.0)
    """Of the distributions.  A tail cannot be brought to another temperature afterwards."""
    vocab_size: int = _static()


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class ComposedTeacher:
    """A teacher whose logits are a linear combination, at each position another, of those of frozen models."""

    models: tuple[Hiddens, ...]
    """At the same positions and of one vocabulary; widths and heads may differ.  At least one."""
    coefficients: Float[Array, "*tokens m"]
    """What each model's logits are multiplied by; of any sign and sum."""
