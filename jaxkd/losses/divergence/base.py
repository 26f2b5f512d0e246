"""Base classes of the divergences: common hyper-parameters, and sums over the vocabulary."""

import abc
import dataclasses
from typing import get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.kernels.divergence import GradientTo
from jaxkd.losses.divergence.log_space import comparable_log_probs


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnyDivergence(abc.ABC):
    """Base class of all divergences.  A recipe's field of this type accepts any of them, and your own."""

    temperature: float = 1.0
    """Temperature, > 0; divides both logits.  A scalar array works too, so that it can be annealed within a jitted
    function; no gradient reaches it through a kernel."""
    gradient_to: GradientTo = "student"
    """Destination of the gradient: "both" lets it reach the teacher's logits too."""

    def __post_init__(self) -> None:
        if not isinstance(self.temperature, jax.Array) and not self.temperature > 0:
            raise ValueError(f"temperature must be > 0, got {self.temperature}.")
        if self.gradient_to not in get_args(GradientTo):
            raise ValueError(f"gradient_to must be one of {', '.join(get_args(GradientTo))}, got {self.gradient_to!r}.")

    @abc.abstractmethod
    def __call__(
        self, student_logits: Float[Array, "*tokens v"], teacher_logits: Float[Array, "*tokens v"], /
    ) -> Float[Array, "*tokens"]:
        """Return the divergence of each position, in nats."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Separable(AnyDivergence):
    """A divergence that is a sum over the vocabulary of a function of one token's two log-probabilities."""

    @property
    def kl_shares(self) -> tuple[float, float] | None:
        """Return (a, b) if the divergence is a KL(p || q) + b KL(q || p); None for all others."""
        return None

    @abc.abstractmethod
    def summands(
        self, log_q: Float[Array, "*tokens v"], log_p: Float[Array, "*tokens v"], /
    ) -> Float[Array, "*tokens v"]:
        """Return each token's summand; log q is the student's log-probability, log p the teacher's."""

    def __call__(
        self, student_logits: Float[Array, "*tokens v"], teacher_logits: Float[Array, "*tokens v"], /
    ) -> Float[Array, "*tokens"]:
        log_q, log_p = comparable_log_probs(student_logits, teacher_logits, self.temperature, self.gradient_to)
        return jnp.sum(self.summands(log_q, log_p), axis=-1)
