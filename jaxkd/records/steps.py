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
    """A mean before the division, so that parts of a batch add up without bias."""

    total: Scalar
    count: Scalar

    def __add__(self, other: "Mean") -> "Mean":
        return Mean(total=self.total + other.total, count=self.count + other.count)

    def value(self) -> Scalar:
        """Return `total / count`, or 0 if nothing was counted."""
        return self.total / jnp.maximum(self.count, 1)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class LossOutput:
    """Result of a recipe's `loss`."""

    loss: Scalar
    """Loss, already divided by `counts`: the gradients of micro-batches are simply added."""
    state: Params
    metrics: dict[str, Mean]
    """Metrics of the step; gradient-stopped."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rollout:
    """Result of `Recipe.rollout`, on the host."""

    batch: Any
    """This process's rows of a global batch, as NumPy arrays."""
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    """Metrics of the generation."""
    rollout_state: Params | None = None
    """New `Variables.rollout_state`, the same on every process; None leaves it unchanged."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Variables:
    """Everything that a recipe's loss reads besides the batch."""

    params: Params
    """Trainable leaves only.  Its top-level keys are the optimizer's groups."""
    state: Params = dataclasses.field(default_factory=dict)
    """Buffers that a step may change; they pass through micro-batches in order.  Those under the name of a parameter
    group are running statistics of its module, which a later run or a teacher restores with the parameters."""
    frozen: Params = dataclasses.field(default_factory=dict)
    """Teachers, references and tables: an argument of the step, never trained, never in a checkpoint."""
    rollout_state: Params = dataclasses.field(default_factory=dict)
    """State that rollouts carry from step to step, replicated on every device.  Rollouts and validations change it; no
    loss reads it, so it can be read while a step runs."""
    derived: Params = dataclasses.field(default_factory=dict)
    """Output of `Recipe.prepare` for this optimizer step, computed from the other fields; gradient-stopped."""
    step: Int[Array, ""] | int = 0

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields replaced."""
        return dataclasses.replace(self, **changes)

    def statistics(self) -> Params:
        """Return the running statistics of trained modules, the part of `state` under names of parameter groups."""
        return {group: tree for group, tree in self.state.items() if group in self.params}
