"""Hidden states and their prediction heads; other forms of a teacher's distributions."""

import dataclasses
from typing import Any

import jax
from jaxtyping import Array, Float, Int


def _static(**kwargs: Any) -> Any:
    """Declare a field that belongs to the tree structure and is not a leaf."""
    return dataclasses.field(metadata={"static": True}, **kwargs)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Head:
    """Prediction head: maps a hidden state to logits.

    `logits = softcap * tanh(scale * (hidden @ weight.T + bias) / softcap)`; without a soft-cap the tanh is omitted.
    Rows at and beyond `vocab_size` pad the matrix and have logit -inf.
    """

    weight: Float[Array, "v d"]
    bias: Float[Array, " v"] | None = None
    scale: float = _static(default=1.0)
    softcap: float | None = _static(default=None)
    vocab_size: int = _static()

    def tempered(self, temperature: float) -> "Head":
        """Return the head whose logits are these divided by `temperature`, after the soft-cap too."""
        softcap = None if self.softcap is None else self.softcap / temperature
        return dataclasses.replace(self, scale=self.scale / temperature, softcap=softcap)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Hiddens:
    """Hidden states after the final norm, and the prediction head.  Logits are never stored."""

    values: Float[Array, "*tokens d"]
    head: Head


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class TopK:
    """A teacher's distributions, stored as the k most likely tokens and one bucket for all others."""

    ids: Int[Array, "*tokens k"]
    """Distinct token ids; an id outside [0, vocab_size) is an empty slot."""
    log_probs: Float[Array, "*tokens k"]
    """Log-probabilities of those tokens under the whole distribution, not renormalised; -inf for an empty slot."""
    log_tail: Float[Array, "*tokens"]
    """Log of the probability of all other tokens together; -inf if there are none."""
    temperature: float = _static(default=1.0)
    """Temperature of the distributions.  A tail cannot be converted to another temperature."""
    vocab_size: int = _static()


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class ComposedTeacher:
    """A teacher whose logits are a linear combination of frozen models' logits, with coefficients per position."""

    models: tuple[Hiddens, ...]
    """Hidden states of each model, at the same positions and over one vocabulary; widths and heads may differ.  At
    least one."""
    coefficients: Float[Array, "*tokens m"]
    """Factor of each model's logits, of any sign and sum."""
