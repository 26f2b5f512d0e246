"""Inputs and outputs of the sampler, as JAX or NumPy arrays."""

import dataclasses
import enum

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.typing import Params


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Prompts:
    """Left-padded prompts: each ends in the last column.  A row without a prompt gets no text."""

    tokens: Int[Array | np.ndarray, "b t"]
    lengths: Int[Array | np.ndarray, " b"]
    """Number of tokens of each prompt; 0 for a row that only pads the batch."""
    example_ids: Int[Array | np.ndarray, " b"]
    """Id of each row, which its random samples depend on."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class StopTable:
    """Transitions from each state by each token.  State 0 is the start; the number of states is a complete match."""

    transitions: Int[Array | np.ndarray, "states v"]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Mixture:
    """Second model, with a share in the sampling distribution.

    A token must have the same id in both, which the caller checks; rows that pad the longer head are left out.
    """

    config: DecoderConfig = dataclasses.field(metadata={"static": True})
    params: Params
    share: float = dataclasses.field(metadata={"static": True})
    """Its probability in the mixture, in [0, 1]; the rest is the generating model's."""

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share must be in [0, 1], got {self.share}. It is a probability.")


class Finish(enum.IntEnum):
    """Reason why a text ends."""

    LENGTH = 0
    """The text has `max_new_tokens`."""
    END_TOKEN = 1
    """The last token is an end token."""
    STOP_STRING = 2
    """The last token completes a stop string."""
    NO_PROMPT = 3
    """The row only pads the batch: there is no text."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Generated:
    """Generated tokens after each prompt; 0 at and beyond `lengths`.

    Both log-probabilities are in nats, of the chosen tokens, and without a gradient.
    """

    tokens: Int[Array, "b n"]
    """Tokens, including the end token or the one that completes a stop string."""
    lengths: Int[Array, " b"]
    finish: Int[Array, " b"]
    """Values of `Finish`."""
    log_probs: Float[Array, "b n"]
    """Log-probabilities under the model itself: its softmax at temperature 1, nothing excluded."""
    sampling_log_probs: Float[Array, "b n"]
    """Log-probabilities under the sampling distribution, after all options of `Sampling` and the mixture, if there is
    one; 0 at temperature 0."""

    @property
    def mask(self) -> Bool[Array, "b n"]:
        """True where there is a token."""
        return jnp.arange(self.tokens.shape[1])[None] < self.lengths[:, None]
