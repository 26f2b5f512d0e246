"""Sums of exponentials accumulated in parts: the softmax of logits that are never all in memory."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class SumExp:
    """Per-token sum_v exp(logit_v), stored as `total * exp(maximum)`."""

    maximum: Float[Array, " n"]
    total: Float[Array, " n"]

    @classmethod
    def of(cls, logits: Float[Array, "n r"]) -> "SumExp":
        """Return the sum over one part."""
        maximum = jnp.max(logits, axis=-1)
        return cls(maximum=maximum, total=jnp.sum(jnp.exp(logits - finite(maximum)[:, None]), axis=-1))

    @classmethod
    def empty(cls, tokens: int, dtype: jnp.dtype) -> "SumExp":
        """Return the empty sum."""
        return cls(maximum=jnp.full(tokens, -jnp.inf, dtype), total=jnp.zeros(tokens, dtype))

    def __add__(self, other: "SumExp") -> "SumExp":
        maximum = jnp.maximum(self.maximum, other.maximum)
        return SumExp(maximum=maximum, total=self.total_at(maximum) + other.total_at(maximum))

    def across(self, axis: str) -> "SumExp":
        """Return the sum over all devices along a mesh axis."""
        maximum = jax.lax.pmax(self.maximum, axis)
        return SumExp(maximum=maximum, total=jax.lax.psum(self.total_at(maximum), axis))

    def total_at(self, maximum: Float[Array, " n"]) -> Float[Array, " n"]:
        """Return the total relative to another maximum."""
        return self.total * jnp.exp(self.maximum - finite(maximum))

    def log(self) -> Float[Array, " n"]:
        """Return the log of the sum."""
        return self.maximum + jnp.log(self.total)

    def log_probs(self, logits: Float[Array, "n r"]) -> Float[Array, "n r"]:
        """Return the log-softmax of one part of the logits."""
        # Subtract in two steps: the logit is close to the maximum where precision matters, and their difference is
        # exact.
        return logits - self.maximum[:, None] - jnp.log(self.total)[:, None]


Sides = Mapping[str, SumExp]
"""Softmaxes of the student and the teacher."""

OTHER = {"student": "teacher", "teacher": "student"}


def gap_moment(side: str, logits: Mapping[str, Float[Array, "n r"]], softmaxes: Sides) -> Float[Array, " n"]:
    """Return sum_v exp(u_v) (u_v - w_v) over one part, u the side's logits minus their maximum, w the other's.

    Divided by the total it is the side's mean of log q - log p (or log p - log q), up to the logs of the totals.
    Subtracting the maxima keeps it exact if the models' logits are far apart.
    """
    relative = {name: one - finite(softmaxes[name].maximum)[:, None] for name, one in logits.items()}
    own = jnp.exp(relative[side])
    # Where exp(u) is 0 the gap may be infinite, or inf - inf.
    gaps = jnp.where(own > 0, relative[side] - relative[OTHER[side]], 0.0)
    return jnp.sum(own * gaps, axis=-1)


def recentred(side: str, moment: Float[Array, " n"], old: Sides, new: Sides) -> Float[Array, " n"]:
    """Convert a `gap_moment` from the maxima of softmaxes `old` to those of `new`."""
    moved = {name: old[name].maximum - finite(new[name].maximum) for name in (side, OTHER[side])}
    factor = jnp.exp(moved[side])
    shifted = moment + old[side].total * (moved[side] - moved[OTHER[side]])
    # A part without probability has no moment, whatever its maximum.
    return jnp.where((factor == 0) | (old[side].total == 0), 0.0, factor * shifted)


def finite(maximum: Float[Array, " n"]) -> Float[Array, " n"]:
    """Replace -inf, the maximum of nothing, by 0: -inf - -inf is NaN.  NaN and +inf pass."""
    return jnp.where(maximum == -jnp.inf, 0.0, maximum)
