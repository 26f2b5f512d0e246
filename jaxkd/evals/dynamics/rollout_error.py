"""Forecasts of held-out records by a vector field, and their errors."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxkd.data.trajectories.sources import TrajectorySource
from jaxkd.dynamics.derivatives.slopes import fourier_slopes
from jaxkd.dynamics.identification.simulate import SOLVER, positive
from jaxkd.dynamics.solvers.control import control
from jaxkd.dynamics.solvers.solve import solve
from jaxkd.evals.dynamics.learnt_equations import learnt_equations
from jaxkd.training.evaluator import Evaluator
from jaxkd.training.results.evaluation import Evaluation
from jaxkd.training.results.forecast import Forecast
from jaxkd.typing import Split
from jaxkd.vector_fields.field import VectorField

CAP = 10.0
"""Largest error at any time, in standard deviations; a forecast has it from where it diverges."""

SHOWN = 4
"""Number of forecasts that the evaluation stores for plots."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RolloutError(Evaluator):
    """Root mean square error of forecasts over pieces, times and states, in standard deviations of each state."""

    data: TrajectorySource
    split: Split = "test"
    pieces: int = 1
    """Number of equal pieces of a record, each forecast from its own start.  No forecast of a whole record of a chaotic
    system can be right."""
    smooth: bool = True
    """Start from the curve through the samples, not from the sample itself."""
    label: str = "rollout_error"
    """Name of the evaluation, if a model has several, such as on other inputs."""

    def __post_init__(self) -> None:
        if self.pieces < 1:
            raise ValueError(f"pieces must be at least 1, got {self.pieces}.")

    @property
    def name(self) -> str:
        return self.label

    def __call__(self, model: VectorField) -> Evaluation:
        """Forecast the records.

        Returns:
            Metrics `rollout_error`, `diverged`, the share of pieces whose forecast reached `CAP`, and `pieces`;
            the column `square`, the mean square error of each piece over times and states; some forecasts; and the
            equations, if the field has any.

        Raises:
            ValueError: records that are too short for the pieces.
        """
        given = self.data.trajectories(self.split)
        samples = (int(given.lengths.min()) - 1) // self.pieces + 1
        if samples < 2:
            raise ValueError(
                f"pieces must leave two samples each, got {self.pieces} of a record of {given.lengths.min()} samples."
            )
        deviation = positive(np.std(np.asarray(given.states), axis=(0, 1), where=given.there[:, :, None]))
        record, start = (side.reshape(-1) for side in np.indices((len(given.lengths), self.pieces)))
        rows = (start * (samples - 1))[:, None] + np.arange(samples)[None]
        times, measured = (np.asarray(side)[record[:, None], rows] for side in (given.times, given.states))
        begun = measured[:, 0]
        if self.smooth:
            curves, _ = fourier_slopes(given.states, given.times, jnp.asarray(given.there))
            begun = np.asarray(curves)[record, rows[:, 0]]
        inputs = None if given.inputs is None else given.inputs[record[:, None], rows]
        forecast = np.asarray(_simulated(model, begun, times, inputs, deviation))
        off = np.abs(forecast - measured) / deviation
        square = np.mean(np.minimum(np.where(np.isfinite(off), off, CAP), CAP)[:, 1:] ** 2, axis=(1, 2))
        sources = [one.source for one in self.data.records(self.split)]
        keys = tuple(
            sources[one] if self.pieces == 1 else f"{sources[one]}, piece {piece + 1}"
            for one, piece in zip(record, start, strict=True)
        )
        return Evaluation(
            metrics={
                "rollout_error": float(np.sqrt(np.mean(square))),
                "diverged": float(np.mean(np.any(~(off < CAP), axis=(1, 2)))),
                "pieces": float(len(keys)),
            },
            keys=keys,
            per_example={"square": tuple(square.tolist())},
            forecasts=tuple(
                _forecast(keys[one], self.data, times[one], measured[one], forecast[one])
                for one in range(min(SHOWN, len(keys)))
            ),
            equations=learnt_equations(model, self.data, given),
        )


def _forecast(
    key: str,
    data: TrajectorySource,
    times: Float[np.ndarray, " samples"],
    measured: Float[np.ndarray, "samples states"],
    forecast: Float[np.ndarray, "samples states"],
) -> Forecast:
    finite = np.all(np.isfinite(forecast), axis=1)
    reached = len(finite) if np.all(finite) else int(np.argmin(finite))
    return Forecast(
        key=key,
        names=data.names()[0],
        times=tuple(times.tolist()),
        measured=tuple(map(tuple, measured.tolist())),
        forecast=tuple(map(tuple, forecast[:reached].tolist())),
        places=data.places(),
    )


@jax.jit
def _simulated(
    model: VectorField,
    begun: Float[Array, "pieces states"],
    times: Float[Array, "pieces samples"],
    inputs: Float[Array, "pieces samples inputs"] | None,
    deviation: Float[Array, " states"],
) -> Float[Array, "pieces samples states"]:
    """Solve for states divided by their deviation, so that one tolerance fits all."""

    def one(begun: Array, times: Array, inputs: Array | None) -> Array:
        driven = None if inputs is None else control(times, inputs)

        def scaled(t: Any, z: Array, model: VectorField) -> Array:
            return model(t, z * deviation, None if driven is None else driven.evaluate(t)) / deviation

        return solve(scaled, begun / deviation, times, model, solver=SOLVER).states * deviation[None]

    return jax.vmap(one)(begun, times, inputs)
