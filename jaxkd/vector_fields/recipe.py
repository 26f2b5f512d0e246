"""Base recipe for learning a vector field from trajectories: the field, the data, and their scales."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxkd import sharding
from jaxkd.data.trajectories.sources import TrajectorySource
from jaxkd.dynamics.derivatives.slopes import FourierSlopes, SlopeEstimator
from jaxkd.dynamics.derivatives.trajectories import Trajectories
from jaxkd.records import Variables
from jaxkd.training.recipe import Curve, Recipe
from jaxkd.typing import Key, Params
from jaxkd.vector_fields.field import Field, Scales, VectorField, listed

FIELD, SCALES = "field", "scales"


@dataclasses.dataclass(frozen=True, kw_only=True)
class FieldRecipe(Recipe):
    """Recipe that learns y' = f(y, u), in double precision.

    A method adds its hyper-parameters, its batches and `loss`.  The field's parameters are `params["field"]`, and
    the data's scales are `frozen["scales"]`.
    """

    data: TrajectorySource
    """Records to learn from."""
    field: Field
    """Vector field f to learn."""
    slopes: SlopeEstimator = FourierSlopes()
    """Estimator of smoothed states and their rates of change."""
    rows: int = 256
    """Rows per batch."""

    def validate(self) -> None:
        """Reject single precision, unreadable data, and a field that does not support the data.

        Raises:
            ValueError: in these cases, including those of the data's source and the field.
        """
        if jnp.asarray(0.0).dtype != jnp.float64:
            raise ValueError(
                "precision must be 'float64' where a vector field is learnt, got less: slopes of noisy data need it. "
                "Set it in the stage, or JAX_ENABLE_X64=1 where a recipe is used without one."
            )
        if self.rows < 1:
            raise ValueError(f"rows must be at least 1, got {self.rows}.")
        self.data.trajectories("train")
        self.field.require_names(*self.data.names())

    def abstract(self) -> Variables:
        scales = self._abstract_scales()
        params = jax.eval_shape(lambda given: self.field.init(jax.random.key(0), given), scales)
        return Variables(
            params=sharding.with_shardings({FIELD: params}),
            frozen=sharding.with_shardings({SCALES: scales}),
            rollout_state=sharding.with_shardings(self.abstract_rollout_state()),
        )

    def init(self, key: Key) -> Variables:
        scales = self.scales()
        params = {FIELD: self.field.init(key, scales)}
        return Variables(
            params=sharding.shard(params),
            frozen=sharding.shard({SCALES: scales}),
            rollout_state=sharding.shard(self.initial_rollout_state()),
        )

    def load_frozen(self) -> Params:
        return self.load_base()

    def load_base(self) -> Params:
        return sharding.shard({SCALES: self.scales()})

    def abstract_rollout_state(self) -> Params:
        """Return shapes of `initial_rollout_state`.  Default: empty."""
        return {}

    def initial_rollout_state(self) -> Params:
        """Return the initial rollout state.  Default: empty."""
        return {}

    def model(self, variables: Variables) -> VectorField:
        states, inputs = self.data.names()
        return VectorField(
            states=states,
            inputs=inputs,
            field=self.field,
            params=variables.params[FIELD],
            scales=variables.frozen[SCALES],
        )

    def curves(self) -> tuple[Curve, ...]:
        return (
            Curve(metric="slope_error", title="Error of the rates of change", unit="share of their standard deviation"),
            Curve(metric="segment_error", title="Error of short forecasts", unit="share of the standard deviation"),
        )

    def provenance(self) -> str:
        given = self.data.trajectories("train")
        names = listed(self.data.names()[0])
        return (
            f"{type(self.field).__name__} of {names}, from {len(given.lengths)} records of {type(self.data).__name__}"
        )

    def scales(self) -> Scales:
        """Return the scales of the training split's states, inputs and slopes."""
        return self.field.scales(*map(jnp.asarray, self.training_points()))

    def training_points(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the field's inputs at the samples of the training split, [points, variables], and the slopes there."""
        return _points(self.data, self.slopes)

    def training_estimates(self) -> tuple[Trajectories, tuple[np.ndarray, np.ndarray]]:
        """Return the training split, and its estimated states and slopes, each [trajectories, times, states]."""
        return self.data.trajectories("train"), _estimates(self.data, self.slopes)

    def _abstract_scales(self) -> Scales:
        states, inputs = self.data.names()
        points = [jax.ShapeDtypeStruct((1, len(names)), jnp.float64) for names in (states + inputs, states)]
        return jax.eval_shape(self.field.scales, *points)


@functools.lru_cache(maxsize=32)
def _estimates(data: TrajectorySource, slopes: SlopeEstimator) -> tuple[np.ndarray, np.ndarray]:
    """Compute estimates once per process: every stage of a study uses them."""
    states, rates = slopes(data.trajectories("train"))
    return np.asarray(states), np.asarray(rates)


@functools.lru_cache(maxsize=32)
def _points(data: TrajectorySource, slopes: SlopeEstimator) -> tuple[np.ndarray, np.ndarray]:
    given, (states, rates) = data.trajectories("train"), _estimates(data, slopes)
    variables = states if given.inputs is None else np.concatenate([states, given.inputs], axis=2)
    return variables[given.there], rates[given.there]


def on_host(tree: Params) -> dict[str, np.ndarray]:
    """Return whole arrays on the host of this process."""
    return jax.tree.map(sharding.on_host, tree)
