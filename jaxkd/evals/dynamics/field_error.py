"""Error of a learnt vector field against the true one, if that is known."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxkd.data.trajectories.sources import TrajectorySource
from jaxkd.training.evaluator import Column, Evaluator
from jaxkd.training.results.evaluation import Evaluation
from jaxkd.typing import Split
from jaxkd.vector_fields.field import VectorField


@dataclasses.dataclass(frozen=True, kw_only=True)
class FieldError(Evaluator):
    """Relative L2 error `|f - truth| / |truth|`, with both norms over the states of a split."""

    data: TrajectorySource
    split: Split = "test"

    @property
    def name(self) -> str:
        return "field_error"

    def columns(self) -> tuple[Column, ...]:
        return (Column(metric="field_error", name="error of the field"),)

    def __call__(self, model: VectorField) -> Evaluation:
        """Compare the fields.

        Returns:
            The metric `field_error`.

        Raises:
            ValueError: a system with unknown equations.
        """
        truth = self.data.equations()
        if truth is None:
            raise ValueError(
                f"data must have known equations, got {type(self.data).__name__}. Measure by RolloutError instead."
            )
        given = self.data.trajectories(self.split)
        there = np.asarray(given.there)
        states = given.states[there]
        inputs = jnp.zeros((len(states), 0)) if given.inputs is None else given.inputs[there]
        expected, found = (
            jax.vmap(functools.partial(field, 0.0))(states, inputs) for field in (truth.vector_field(), model)
        )
        error = jnp.linalg.norm(found - expected) / jnp.linalg.norm(expected)
        return Evaluation(metrics={"field_error": float(error)})
