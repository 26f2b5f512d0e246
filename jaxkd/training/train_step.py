"""One optimizer step, as a pure function: counts, losses of the micro-batches, one update."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, Self

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int, UInt32

from jaxkd.records import Variables
from jaxkd.training.optimizer import ema_update
from jaxkd.training.recipe import Recipe
from jaxkd.typing import Key, Params, Scalar

Precision = Literal["float32", "bfloat16", "float64"]

COUNT_PREFIX = "count/"
"""Prefix of the metrics that count what a step learnt from, over all devices."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainState:
    """State that a step updates and a checkpoint holds.  Its buffers are donated to the step."""

    params: Params
    optimizer: Any
    ema: Params
    """Moving average of `params`; an empty dict if there is none."""
    ema_statistics: Params
    """Moving average of the running statistics; an empty dict if there is none."""
    state: Params
    rollout_state: Params
    """State of the rollouts, which a compiled step does not receive."""
    step: Int[Array, ""]

    def variables(self, frozen: Params, *, averaged: bool = False) -> Variables:
        """Return the variables that a recipe reads; `averaged` takes the moving averages, if there are any."""
        own = Variables(
            params=self.params, state=self.state, frozen=frozen, rollout_state=self.rollout_state, step=self.step
        )
        if not averaged or not self.ema:
            return own
        return own.replace(params=self.ema, state=self.state | self.ema_statistics)

    def without_rollout_state(self) -> Self:
        """Drop the rollout state, for a compiled step: it is neither donated to the step nor waits for it."""
        return dataclasses.replace(self, rollout_state={})


def master_dtype(precision: Precision) -> jnp.dtype:
    """Return the dtype of the parameters and the optimizer: float32 even if the matrix products are bfloat16."""
    return jnp.dtype(jnp.float64 if precision == "float64" else jnp.float32)


def compute_dtype(precision: Precision) -> jnp.dtype:
    """Return the dtype of the forward and backward pass."""
    return jnp.dtype(jnp.bfloat16) if precision == "bfloat16" else master_dtype(precision)


def cast(tree: Params, dtype: jnp.dtype) -> Params:
    """Cast floating-point leaves to `dtype`; others are unchanged.  Also for abstract leaves."""

    def leaf(value: Any) -> Any:
        if not jnp.issubdtype(value.dtype, jnp.floating) or value.dtype == dtype:
            return value
        if isinstance(value, jax.ShapeDtypeStruct):
            return jax.ShapeDtypeStruct(value.shape, dtype, sharding=value.sharding)
        return value.astype(dtype)

    return jax.tree.map(leaf, tree)


def initial_state(variables: Variables, optimizer: optax.GradientTransformation, *, ema: bool) -> TrainState:
    """Return the state before the first step.  Every leaf has its own buffer, so that all can be donated."""
    # Jitted, because L-BFGS puts the parameters themselves into its state: eager code would alias
    # them and donation would fail with "Attempt to donate the same buffer twice".
    return TrainState(
        params=variables.params,
        optimizer=jax.jit(optimizer.init)(variables.params),
        ema=jax.tree.map(jnp.copy, variables.params) if ema else {},
        ema_statistics=jax.tree.map(jnp.copy, variables.statistics()) if ema else {},
        state=variables.state,
        rollout_state=variables.rollout_state,
        step=jnp.asarray(variables.step, jnp.int32),
    )


def train_step(
    recipe: Recipe,
    optimizer: optax.GradientTransformationExtraArgs,
    *,
    accumulation: int = 1,
    precision: Precision = "float32",
    ema_decay: float | None = None,
) -> Callable[[TrainState, Params, Any, Key], tuple[TrainState, dict[str, Scalar]]]:
    """Return the function `(state, frozen, batch, root_key) -> (state, metrics)`, ready to be jitted.

    Args:
        recipe: the method.
        optimizer: receives the gradient of the whole batch, `value`, `grad` and `value_fn`.
        accumulation: number of micro-batches per batch; it changes memory, not results.
        precision: "bfloat16" casts parameters for the forward and backward pass only.
        ema_decay: decay of the moving average of parameters and running statistics; None keeps none.
    """
    compute = compute_dtype(precision)

    def step(state: TrainState, frozen: Params, batch: Any, root_key: Key) -> tuple[TrainState, dict[str, Scalar]]:
        key = jax.random.fold_in(root_key, state.step)
        keys = jax.vmap(lambda index: jax.random.fold_in(key, index))(jnp.arange(accumulation))
        micro = jax.tree.map(lambda leaf: _split_rows(leaf, accumulation), batch)
        counts = jax.tree.map(lambda count: jnp.sum(count, axis=0), jax.vmap(recipe.counts)(micro))
        variables = state.variables(frozen)
        variables = variables.replace(derived=jax.lax.stop_gradient(recipe.prepare(variables)))

        def micro_loss(params: Params, buffers: Params, batch: Any, key: Key):
            output = recipe.loss(variables.replace(params=cast(params, compute), state=buffers), batch, counts, key)
            return output.loss, (output.state, output.metrics)

        def window(carry: Any, body: Callable) -> tuple[Any, Any]:
            return jax.lax.scan(body, carry, (micro, keys)) if accumulation > 1 else _single(body, carry, micro, keys)

        def differentiate(carry, inputs):
            gradient, buffers = carry
            (loss, (buffers, metrics)), part = jax.value_and_grad(micro_loss, has_aux=True)(
                state.params, buffers, *inputs
            )
            return (jax.tree.map(jnp.add, gradient, part), buffers), (loss, metrics)

        def value_fn(params: Params) -> Scalar:
            """Return the loss of the whole window, for optimizers with a line search."""

            def evaluate(buffers, inputs):
                loss, (buffers, _) = micro_loss(params, buffers, *inputs)
                return buffers, loss

            return jnp.sum(window(state.state, evaluate)[1])

        zeros = jax.tree.map(jnp.zeros_like, state.params)
        (gradient, buffers), (losses, metrics) = window((zeros, state.state), differentiate)
        loss = jnp.sum(losses)
        updates, optimizer_state = optimizer.update(
            gradient, state.optimizer, state.params, value=loss, grad=gradient, value_fn=value_fn
        )
        params = _with_updates(state.params, updates)
        ema, ema_statistics = state.ema, state.ema_statistics
        if ema_decay is not None:
            ema = ema_update(ema, params, ema_decay)
            ema_statistics = ema_update(ema_statistics, variables.replace(state=buffers).statistics(), ema_decay)
        reported = {
            "loss": loss,
            **{name: jax.tree.map(lambda part: jnp.sum(part, axis=0), mean).value() for name, mean in metrics.items()},
            "grad_norm": optax.tree.norm(gradient),
            **{f"{COUNT_PREFIX}{name}": count for name, count in counts.items()},
        }
        return (
            TrainState(
                params=params,
                optimizer=optimizer_state,
                ema=ema,
                ema_statistics=ema_statistics,
                state=buffers,
                rollout_state=state.rollout_state,
                step=state.step + 1,
            ),
            reported,
        )

    return step


def rollout_key(root_key: Key, step: int) -> Key:
    """Return the key of the rollout before a step, counted from 1; the step's own keys fold in other numbers."""
    return _before_step(root_key, np.uint32(step - 1))


@jax.jit  # unjitted, it takes as long as the step of a small model
def _before_step(root_key: Key, made: UInt32[Array, ""]) -> Key:
    return jax.random.fold_in(jax.random.fold_in(root_key, made), 2**31)


def _with_updates(params: Params, updates: Any) -> Params:
    """Return the parameters after the step; optax types them as any tree."""
    return jax.tree.map(lambda leaf, update: leaf + update.astype(leaf.dtype), params, updates)


def _split_rows(leaf: Array, parts: int) -> Array:
    """Split [rows, ...] into [parts, rows / parts, ...]; micro-batch j holds rows j, j + parts, ...

    Strided, because a device holds neighbouring rows: each micro-batch takes its share from every device, and no row
    moves.
    """
    return jnp.swapaxes(leaf.reshape(leaf.shape[0] // parts, parts, *leaf.shape[1:]), 0, 1)


def _single(body: Callable, carry: Any, micro: Any, keys: Array) -> tuple[Any, Any]:
    """Apply `lax.scan` to one element without the loop, which would hide the step from XLA's fusions."""
    carry, output = body(carry, (jax.tree.map(lambda leaf: leaf[0], micro), keys[0]))
    return carry, jax.tree.map(lambda leaf: leaf[None], output)
