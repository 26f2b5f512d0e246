"""Optimizer step of a run on the ambient mesh: its abstract and initial state, and its compiled form."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import NamedSharding, PartitionSpec

from jaxkd.records import Variables
from jaxkd.sharding import mesh as meshes
from jaxkd.training import train_step as steps
from jaxkd.training.recipe import Recipe
from jaxkd.training.train_step import Precision, TrainState
from jaxkd.typing import Params


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompiledStep:
    """Settings that decide what a step computes."""

    recipe: Recipe
    optimizer: optax.GradientTransformationExtraArgs
    accumulation: int
    precision: Precision
    ema_decay: float | None

    def jit(self):
        """Return the jitted step, with donated state and pinned shardings; its state excludes the rollout state."""
        step = steps.train_step(
            self.recipe,
            self.optimizer,
            accumulation=self.accumulation,
            precision=self.precision,
            ema_decay=self.ema_decay,
        )
        shardings = jax.tree.map(lambda leaf: leaf.sharding, self.abstract_state().without_rollout_state())
        return jax.jit(step, donate_argnums=0, out_shardings=(shardings, None))

    def abstract_state(self) -> TrainState:
        """Return shapes, dtypes and shardings of the state, to which a checkpoint is restored.

        Raises:
            ValueError: parameters that are not floating-point: a quantised model cannot be trained.
        """
        variables = self.recipe.abstract()
        for path, leaf in jax.tree.leaves_with_path(variables.params):
            if not jnp.issubdtype(leaf.dtype, jnp.floating):
                raise ValueError(
                    "parameters must be floating-point to be trained, got "
                    f"{leaf.dtype} in {jax.tree_util.keystr(path, simple=True, separator='.')}. "
                    "Leave the student's quantization None, or train adapters beside it (lora)."
                )
        params = steps.cast(variables.params, steps.master_dtype(self.precision))
        state = jax.eval_shape(self.optimizer.init, params)
        shardings = meshes.optimizer_shardings(state, params, jax.tree.map(lambda leaf: leaf.sharding, params))
        whole = NamedSharding(jax.sharding.get_mesh(), PartitionSpec())
        step: Any = jax.ShapeDtypeStruct((), jnp.int32, sharding=whole)
        return TrainState(
            params=params,
            optimizer=jax.tree.map(
                lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), state, shardings
            ),
            ema=params if self.ema_decay is not None else {},
            ema_statistics=variables.statistics() if self.ema_decay is not None else {},
            state=variables.state,
            rollout_state=variables.rollout_state,
            step=step,
        )

    def initial_state(self, variables: Variables) -> TrainState:
        """Return the state before the first step, with its parameters in the dtype of training."""
        params = steps.cast(variables.params, steps.master_dtype(self.precision))
        return steps.initial_state(variables.replace(params=params), self.optimizer, ema=self.ema_decay is not None)

    def variables(self, state: TrainState, frozen: Params) -> Variables:
        """Return the variables that a recipe reads, with parameters in the compute dtype."""
        variables = state.variables(frozen)
        return variables.replace(params=steps.cast(variables.params, steps.compute_dtype(self.precision)))

    def frozen(self, frozen: Params) -> Params:
        """Cast frozen models to the compute dtype; also for abstract leaves."""
        return steps.cast(frozen, steps.compute_dtype(self.precision))
