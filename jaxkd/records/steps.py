"""Records of a training step: variables in, losses and metrics out."""

import dataclasses
from typing import Any, Self

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxkd.typing import Params, Scalar


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Mean:
    """A mean that has not been divided yet, so that parts of a batch add up without bias."""

    total: Scalar
    count: Scalar

    def __add__(self, other: "Mean") -> "Mean":
        return Mean(total=self.total + other.total, count=self.count + other.count)

    def value(self) -> Scalar:
        """`total / count`, and 0 where nothing was counted."""
        return self.total / jnp.maximum(self.count, 1)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class LossOutput:
    """What a recipe's `loss` returns."""

    loss: Scalar
    """Already divided by `counts`: the gradients of micro-batches are simply added."""
    state: Params
    metrics: dict[str, Mean]
    """Gradient-stopped."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rollout:
    """What `Recipe.rollout` returns, on the host."""

    batch: Any
    """This process's rows of a global batch, as NumPy arrays."""
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    """Of how it was made."""
    rollout_state: Params | None = None
    """`Variables.rollout_state` from now on, on every process the same; None leaves it as it is."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Variables:
    """Everything a recipe's loss reads besides the batch."""

    params: Params
    """Trainable leaves only.  Its top-level keys are the optimizer's groups."""
    state: Params = dataclasses.field(default_factory=dict)
    """Buffers that a step may change; they pass through micro-batches in order."""
    frozen: Params = dataclasses.field(default_factory=dict)
    """Teachers, references and tables: an argument of the step, never trained, never in a checkpoint."""
    rollout_state: Params = dataclasses.field(default_factory=dict)
    """What rollouts keep from step to step, whole on every device.  Rollouts and validations change it; no loss reads
    it, so that it can be read while a step runs."""
    derived: Params = dataclasses.field(default_factory=dict)
    """What `Recipe.prepare` made from the rest for this optimizer step; gradient-stopped."""
    step: Int[Array, ""] | int = 0

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields replaced."""
        return dataclasses.replace(self, **changes)
