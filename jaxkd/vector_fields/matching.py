"""Learning without solving: a field's values at points of the data, compared with estimated slopes."""

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxkd.data.trajectories import samples
from jaxkd.records import LossOutput, Mean, Rollout, Variables
from jaxkd.sharding import WHOLE, Share
from jaxkd.typing import Key, Params, Scalar, Split
from jaxkd.vector_fields.recipe import FIELD, SCALES, FieldRecipe

if TYPE_CHECKING:
    import grain


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class SlopeBatch:
    """Batch of points of trajectories."""

    variables: Float[Array, "b variables"]
    """States, then inputs."""
    slopes: Float[Array, "b states"]
    """Estimates of the states' rates of change."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MatchingRecipe(FieldRecipe):
    """Recipe that learns a field by its values: mean over points and states of (f - slope)^2 / deviation(slope)^2.

    A method may override the `table` of points, and add a `penalty`.
    """

    def table(self, rollout_state: Params) -> SlopeBatch:
        """Return all training points, as NumPy arrays.  Default: the samples, as the estimator returns them.

        Args:
            rollout_state: state after the previous rollout or validation.
        """
        del rollout_state
        return slope_batch(*self.training_points())

    def penalty(self, params: Params) -> Scalar | float:
        """Return a penalty of the field's parameters, added to the loss.  Default: none."""
        del params
        return 0.0

    def loss(self, variables: Variables, batch: SlopeBatch, counts: dict[str, Array], key: Key) -> LossOutput:
        del key
        scales = variables.frozen[SCALES]
        found = jax.vmap(functools.partial(self.field.slopes, variables.params[FIELD], scales))(batch.variables)
        off = (found - batch.slopes) / scales["slope"][None]
        square = jnp.mean(off**2, axis=1)
        count = jnp.asarray(square.size, off.dtype)
        # Each micro-batch has its share of the penalty.
        penalty = self.penalty(variables.params[FIELD]) * count / counts["points"]
        return LossOutput(
            loss=jnp.sum(square) / counts["points"] + penalty,
            state=variables.state,
            metrics={"slope_error": Mean(total=jax.lax.stop_gradient(jnp.sum(jnp.sqrt(square))), count=count)},
        )

    def counts(self, batch: SlopeBatch) -> dict[str, Array]:
        return {"points": jnp.asarray(batch.slopes.shape[0], batch.slopes.dtype)}

    def abstract_batch(self) -> SlopeBatch:
        states, inputs = self.data.names()
        sizes = len(states + inputs), len(states)
        return slope_batch(*(jax.ShapeDtypeStruct((self.rows, size), jnp.float64) for size in sizes))

    def batches(self, split: Split, seed: int, *, share: Share = WHOLE) -> "grain.IterDataset":
        del split  # the rollout reads the table of the training split
        return samples.uniform(self.rows, seed, share=share)

    def rollout(self, variables: Variables, batch: Float[np.ndarray, " rows"], key: Key) -> Rollout:
        """Return the points that numbers in [0, 1) select."""
        del key
        return Rollout(batch=drawn(self.table(variables.rollout_state), batch))


def drawn(table: SlopeBatch, numbers: Float[np.ndarray, " rows"]) -> SlopeBatch:
    """Return the points that numbers in [0, 1) select."""
    positions = np.floor(numbers * len(table.slopes)).astype(int)
    return slope_batch(table.variables[positions], table.slopes[positions])


def slope_batch(variables: Any, slopes: Any) -> SlopeBatch:
    """Return a batch of NumPy arrays, as a step takes, or of shapes."""
    return SlopeBatch(variables=variables, slopes=slopes)
