"""Inputs and outputs of a kernel.

Values that pass through a differentiated function are named tuples: JAX fills such trees with placeholders.
"""

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxkd.kernels.divergence import Divergence
from jaxkd.records import ComposedTeacher, Head, Hiddens, TopK
from jaxkd.typing import Scalar


class Targets(NamedTuple):
    """Inputs of a loss per token besides the hidden states; none is differentiated."""

    top_k: TopK | None = None
    """Most likely tokens of the teacher, in place of its hidden states."""
    weights: Float[Array, "*tokens"] | None = None
    """Weights of the divergence; None without one."""
    labels: Int[Array, "*tokens"] | None = None
    label_weights: Float[Array, "*tokens"] | None = None
    """Weights of the cross entropy; None without labels."""

    def scaled(self, scale: Scalar) -> "Targets":
        """Return the targets of `scale` times the total."""
        weights, label_weights = (None if one is None else one * scale for one in (self.weights, self.label_weights))
        return self._replace(weights=weights, label_weights=label_weights)


COEFFICIENTS = "coefficients"
"""Key, beside the hidden states, of the factors of the logits in a composed teacher."""

Values = dict[str, Float[Array, "*tokens _"]]
"""Hidden states by side: always "student"; "teacher" if it is given by hidden states, or "teacher 0", "teacher 1" and
so on if it is composed."""

Heads = dict[str, Head]
"""Heads by side."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inputs:
    """Array arguments of `linear_divergence`."""

    values: Values
    heads: Heads
    targets: Targets

    @classmethod
    def of(cls, student: Hiddens, teacher: Hiddens | ComposedTeacher | None, targets: Targets) -> "Inputs":
        """Build the inputs from the hidden states of the models."""
        sides, known = {"student": student}, {}
        if isinstance(teacher, Hiddens):
            sides["teacher"] = teacher
        elif teacher is not None:
            sides |= {_part(place): model for place, model in enumerate(teacher.models)}
            known[COEFFICIENTS] = teacher.coefficients
        return cls(
            values={side: hiddens.values for side, hiddens in sides.items()} | known,
            heads={side: hiddens.head for side, hiddens in sides.items()},
            targets=targets,
        )

    def hiddens(self, side: str) -> Hiddens:
        """Return the hidden states of one side with their head."""
        return Hiddens(values=self.values[side], head=self.heads[side])

    def compared(self, logits: dict[str, Float[Array, "*tokens r"]]) -> dict[str, Float[Array, "*tokens r"]]:
        """Reduce the logits of all heads to those of student and teacher."""
        if COEFFICIENTS not in self.values:
            return logits
        coefficients = self.values[COEFFICIENTS]
        parts = [logits[_part(place)] for place in range(coefficients.shape[-1])]
        return {"student": logits["student"], "teacher": composed(parts, coefficients)}

    @property
    def dtype(self) -> jnp.dtype:
        """Dtype of sums: float32, or float64 for float64 inputs."""
        return jnp.promote_types(jnp.float32, self.values["student"].dtype)

    @property
    def count(self) -> int:
        """Number of tokens in the flat list."""
        return self.values["student"].shape[0]

    @property
    def rows(self) -> int:
        """Number of rows that all heads have; further rows of a longer head hold no token."""
        return min(head.weight.shape[0] for head in self.heads.values())

    def masked(self, sides: Iterable[str]) -> "Inputs":
        """Replace hidden states without weight by 0: NaN times a gradient of 0 is NaN."""
        weights = [one for one in (self.targets.weights, self.targets.label_weights) if one is not None]
        either, first = functools.reduce(jnp.logical_or, [one != 0 for one in weights]), weights[0] != 0
        masked = {
            side: jnp.where((either if side == "student" else first)[..., None], self.values[side], 0) for side in sides
        }
        return dataclasses.replace(self, values={**self.values, **masked})

    def differentiated(self, divergence: Divergence | None) -> tuple[str, ...]:
        """Return the sides that get a gradient."""
        asked = "teacher" in self.values and divergence is not None and divergence.gradient_to == "both"
        return ("student", "teacher") if asked else ("student",)


def composed(
    parts: Sequence[Float[Array, "*tokens r"]], coefficients: Float[Array, "*tokens m"]
) -> Float[Array, "*tokens r"]:
    """Return the linear combination of logits with the same padding rows."""
    # Infinities of both signs would give NaN.
    real = parts[0] != -jnp.inf
    total = sum(coefficients[..., [place]] * jnp.where(real, part, 0.0) for place, part in enumerate(parts))
    return jnp.where(real, total, -jnp.inf)


def _part(place: int) -> str:
    """Return the name of the side of one model of a composed teacher."""
    return f"teacher {place}"


@runtime_checkable
class Summed(Protocol):
    """Per-token outputs of a kernel: a named tuple of arrays that adds up to a loss."""

    def total(self, targets: Targets, /) -> Scalar:
        """Return the loss."""
        ...


class Columns(NamedTuple):
    """Per-token outputs of a distillation loss."""

    divergence: Float[Array, "*tokens"]
    cross_entropy: Float[Array, "*tokens"]
    argmax: Int[Array, "*tokens"]
    lse: Float[Array, "*tokens"]

    def total(self, targets: Targets) -> Scalar:
        """Return the sum of `weights * divergence + label_weights * cross_entropy`."""
        return weighted_sum(targets.weights, self.divergence) + weighted_sum(targets.label_weights, self.cross_entropy)


def weighted_sum(weights: Float[Array, "*tokens"] | None, values: Float[Array, "*tokens"]) -> Scalar:
    """Return the sum of `weights * values`; 0 without weights."""
    if weights is None:
        return jnp.zeros((), values.dtype)
    weights = jax.lax.stop_gradient(weights)
    # Replace rather than multiply where the weight is 0: padding never reaches the total, whatever it holds.
    return jnp.sum(weights * jnp.where(weights == 0, 0.0, values))


class Gradients(NamedTuple):
    """Gradients of the total, for the sides that get one, in the structure of the inputs."""

    values: Values
    heads: Heads
