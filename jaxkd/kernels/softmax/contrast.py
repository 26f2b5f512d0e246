"""A teacher made of two frozen models, further along where they differ more, and what a position then weighs."""

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
    """How a student is compared with what two models, "first" and "second", make together."""

    distance: Divergence
    """Between the two: it decides how far the teacher goes."""
    divergence: Divergence
    """Between the student and the teacher."""
    reward: Reward
    scale: float
    floor: float
    beta: float
    gradient_to: Literal["student"] = "student"
    temperature: Literal[1] = 1

    def strength(self, distance: Float[Array, "*tokens"]) -> Float[Array, "*tokens"]:
        """How far the teacher goes."""
        return self.scale * distance + self.floor

    def coefficients(self, strength: Float[Array, "*tokens"]) -> Float[Array, "*tokens 2"]:
        """What the logits of the two are multiplied by: their sum is 1."""
        first = strength if self.reward == "vanilla" else 1 + strength
        return jnp.stack([first, 1 - first], axis=-1)

    def weight(self, strength: Float[Array, "*tokens"]) -> Float[Array, "*tokens"]:
        """What a position's divergence is multiplied by."""
        return self.beta / strength

    def __call__(self, logits: dict[str, Float[Array, "n v"]]) -> tuple[Float[Array, " n"], Any]:
        """Weighted nats of each position, of which the gradient reaches the student; and (nats, distance, strength)."""
        first, second = jax.lax.stop_gradient((logits["first"], logits["second"]))
        distance = self.distance(first, second) if self.scale else jnp.zeros_like(first[:, 0])
        strength = self.strength(distance)
        nats = self.divergence(logits["student"], composed([first, second], self.coefficients(strength)))
        return self.weight(strength) * nats, jax.lax.stop_gradient((nats, distance, strength))
