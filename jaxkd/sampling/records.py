"""What goes into the sampler and what comes out: arrays of JAX or of NumPy."""

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
    """Prompts with padding in front: each ends in the last column.  A row without a prompt gets no text."""

    tokens: Int[Array | np.ndarray, "b t"]
    lengths: Int[Array | np.ndarray, " b"]
    """Tokens of each prompt; 0 is a row that only fills the batch."""
    example_ids: Int[Array | np.ndarray, " b"]
    """What tells a row's draws apart from those of the other rows."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class StopTable:
    """What each token does to each state.  State 0 begins; the number of states means that a string is complete."""

    transitions: Int[Array | np.ndarray, "states v"]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Mixture:
    """A second model, which has a share in the distribution that a token is drawn from.

    A token must have one id in both, which the caller checks; rows that pad the longer head are left out.
    """

    config: DecoderConfig = dataclasses.field(metadata={"static": True})
    params: Params
    share: float = dataclasses.field(metadata={"static": True})
    """Its probability in the mixture, in [0, 1]; the rest is that of the model that writes."""

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share must be in [0, 1], got {self.share}. It is a probability.")


class Finish(enum.IntEnum):
    """Why a text ends."""

    LENGTH = 0
    """It has `max_new_tokens`."""
    END_TOKEN = 1
    """Its last token is an end token."""
    STOP_STRING = 2
    """Its last token completes a stop string."""
    NO_PROMPT = 3
    """The row only fills the batch: there is no text."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Generated:
    """What was written after each prompt; 0 at and beyond `lengths`.

    Both log-probabilities are in nats, of the tokens that were chosen, and without a gradient.
    """

    tokens: Int[Array, "b n"]
    """With the end token, or the token that completes a stop string."""
    lengths: Int[Array, " b"]
    finish: Int[Array, " b"]
    """Values of `Finish`."""
    log_probs: Float[Array, "b n"]
    """Under the model itself: its softmax at temperature 1, nothing left out."""
    sampling_log_probs: Float[Array, "b n"]
    """Under the distribution that the token was drawn from, after all that `Sampling` asks for and mixed where there is
    a mixture; 0 at temperature 0."""

    @property
    def mask(self) -> Bool[Array, "b n"]:
        """True where there is a token."""
        return jnp.arange(self.tokens.shape[1])[None] < self.lengths[:, None]
