"""A teacher extrapolated from two frozen models, further where they differ more, and the weight of each position."""

import dataclasses
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.kernels.divergence import Divergence
from jaxkd.kernels.inputs import composed

Reward = Literal["vanilla", "contrastive"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contrast:
    """Comparison of a student with the teacher composed of two models, "first" and "second"."""

    distance: Divergence
    """Distance between the two models, which determines the strength of the extrapolation."""
    divergence: Divergence
    """Divergence between the student and the teacher."""
    reward: Reward
    scale: float
    floor: float
    beta: float
    gradient_to: Literal["student"] = "student"
    temperature: Literal[1] = 1

    def strength(self, distance: Float[Array, "*tokens"]) -> Float[Array, "*tokens"]:
        """Return the strength of the extrapolation."""
        return self.scale * distance + self.floor

    def coefficients(self, strength: Float[Array, "*tokens"]) -> Float[Array, "*tokens 2"]:
        """Return the factors of the two models' logits, which sum to 1."""
        first = strength if self.reward == "vanilla" else 1 + strength
        return jnp.stack([first, 1 - first], axis=-1)

    def weight(self, strength: Float[Array, "*tokens"]) -> Float[Array, "*tokens"]:
        """Return the factor of each position's divergence."""
        return self.beta / strength

    def __call__(self, logits: dict[str, Float[Array, "n v"]]) -> tuple[Float[Array, " n"], Any]:
        """Return the weighted nats per position, with a gradient to the student, and (nats, distance, strength)."""
        first, second = jax.lax.stop_gradient((logits["first"], logits["second"]))
        distance = self.distance(first, second) if self.scale else jnp.zeros_like(first[:, 0])
        strength = self.strength(distance)
        nats = self.divergence(logits["student"], composed([first, second], self.coefficients(strength)))
        return self.weight(strength) * nats, jax.lax.stop_gradient((nats, distance, strength))
