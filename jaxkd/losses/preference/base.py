"""Base class of the pairwise losses: common hyper-parameters, and uncertain labels."""

import abc
import dataclasses
import math
from typing import ClassVar, get_args

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.losses.reduce import Reduction


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreferenceLoss(abc.ABC):
    """Base class of all pairwise losses.  A recipe's field of this type accepts any of them, and your own.

    It takes one score per answer: log pi(y | x) - log pi_ref(y | x), or log pi(y | x) alone if `reads_reference` is
    False.
    """

    beta: float = 0.1
    """Scale of the scores, > 0: a reward is beta times a score."""
    normalization: Reduction = "sum"
    """Reduction of `sequence_log_prob` over an answer's tokens, before the loss."""

    reads_reference: ClassVar[bool] = True
    """Whether scores are relative to a reference model."""

    def __post_init__(self) -> None:
        require_positive("beta", self.beta)
        if self.normalization not in get_args(Reduction):
            raise ValueError(
                f"normalization must be one of {', '.join(get_args(Reduction))}, got {self.normalization!r}."
            )

    @abc.abstractmethod
    def certain(self, chosen: Float[Array, "*pairs"], rejected: Float[Array, "*pairs"], /) -> Float[Array, "*pairs"]:
        """Return the loss of each pair if the chosen answer is certainly the better one."""

    def __call__(
        self,
        chosen: Float[Array, "*pairs"],
        rejected: Float[Array, "*pairs"],
        /,
        probability: Float[Array, "*pairs"] | float = 1.0,
    ) -> Float[Array, "*pairs"]:
        """Return the expected loss of each pair, for labels that are right with `probability`."""
        require_same_shape("rejected", rejected, "chosen", chosen)
        chosen, rejected = wide(chosen), wide(rejected)
        if isinstance(probability, float | int):
            if not 0 <= probability <= 1:
                raise ValueError(f"probability must be in [0, 1], got {probability}.")
            if probability == 1:
                return self.certain(chosen, rejected)
        else:
            require_same_shape("probability", probability, "chosen", chosen)
        return probability * self.certain(chosen, rejected) + (1 - probability) * self.certain(rejected, chosen)


def wide(values: Float[Array, "*pairs"]) -> Float[Array, "*pairs"]:
    """Convert to float32 or wider."""
    return values.astype(jnp.promote_types(jnp.float32, values.dtype))


def require_positive(name: str, value: float) -> None:
    """Reject a hyper-parameter that is not positive and finite."""
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be > 0 and finite, got {value}.")


def require_same_shape(name: str, values: Float[Array, "*pairs"], other: str, others: Float[Array, "*others"]) -> None:
    """Reject arrays that would broadcast over each other's pairs."""
    if values.shape != others.shape:
        raise ValueError(
            f"{name} must have the shape of {other}, got {values.shape} and {others.shape}. Give one value a pair."
        )
