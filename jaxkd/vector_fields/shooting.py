"""Learning by solving: a field's short forecasts from many samples, compared with measurements."""

import dataclasses
from typing import Any, Literal, TypeAlias

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxkd.dynamics.solvers.control import control
from jaxkd.dynamics.solvers.fixed_step import EULER, RK4, fixed_step
from jaxkd.dynamics.solvers.solve import RightHandSide, Solver, solve
from jaxkd.records import LossOutput, Mean, Rollout, Variables
from jaxkd.typing import Key
from jaxkd.vector_fields.segments import SegmentBatch, SegmentRecipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class FixedSteps:
    """Equal steps between samples, with ordinary backpropagation through them."""

    method: Literal["euler", "rk4"] = "rk4"
    substeps: int = 1
    """Steps per sample interval."""

    def __post_init__(self) -> None:
        if self.substeps < 1:
            raise ValueError(f"substeps must be at least 1, got {self.substeps}.")

    def states(self, field: RightHandSide, start: Float[Array, " states"], times: Float[Array, " times"]) -> Array:
        """Return the states at the times, the first of which is the start's."""
        method = {"euler": EULER, "rk4": RK4}[self.method]
        return fixed_step(field, start, times, method=method, substeps=self.substeps)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdaptiveSteps:
    """Adaptive steps by a tolerance, with checkpoints for the gradient."""

    method: Literal["tsit5", "dopri5"] = "tsit5"
    rtol: float = 1e-3
    atol: float = 1e-6
    """Absolute tolerance, in the states' standard deviations."""
    max_steps: int = 256
    """Maximum steps of a forecast; one that takes more is left out of the loss."""

    def __post_init__(self) -> None:
        self._solver()

    def states(self, field: RightHandSide, start: Float[Array, " states"], times: Float[Array, " times"]) -> Array:
        """Return the states at the times, the first of which is the start's; inf where steps ran out."""
        return solve(field, start, times, solver=self._solver()).states

    def _solver(self) -> Solver:
        method = {"tsit5": diffrax.Tsit5, "dopri5": diffrax.Dopri5}[self.method]()
        return Solver(method=method, rtol=self.rtol, atol=self.atol, max_steps=self.max_steps)


DIVERGENCE_BOUND = 1e3
"""Divergence bound of a forecast, in standard deviations."""

Integrator: TypeAlias = FixedSteps | AdaptiveSteps


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phase:
    """Phase of a run, with forecasts of one length."""

    steps: int
    """Optimizer steps; the last phase continues until the run ends."""
    horizon: int
    """Length of a forecast, in samples."""
    integrator: Integrator = FixedSteps()

    def __post_init__(self) -> None:
        for name in ("steps", "horizon"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")


def euler_first(horizons: tuple[int, ...], *, steps: int, then: Phase) -> tuple[Phase, ...]:
    """Return a curriculum: `steps` optimizer steps with Euler at each horizon, then another phase."""
    euler = FixedSteps(method="euler")
    return (*(Phase(steps=steps, horizon=horizon, integrator=euler) for horizon in horizons), then)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShootingRecipe(SegmentRecipe):
    """Recipe that learns a field by its forecast errors.

    A method defines what is trained and what is frozen, in `abstract`, `init` and `model`.
    """

    phases: tuple[Phase, ...] = (Phase(steps=1, horizon=20),)
    """Phases of the run, in order.  Default: forecasts of 20 samples throughout."""
    smooth: bool = True
    """Start forecasts on the curve through the samples, not at the sample itself."""

    def validate(self) -> None:
        """Validate as every recipe of fields, and reject records that are too short for a phase.

        Raises:
            ValueError: in these cases, or without phases.
        """
        super().validate()
        if not self.phases:
            raise ValueError("phases must hold at least one Phase, got none.")
        self.require_segments(max(phase.horizon for phase in self.phases), "horizon")

    def loss(self, variables: Variables, batch: SegmentBatch, counts: dict[str, Array], key: Key) -> LossOutput:
        del key
        deviation = self.deviation(variables)
        starts = (batch.smooth if self.smooth else batch.measured)[:, 0] / deviation[None]
        integrator = self.phases[batch.phase].integrator
        states, reached = forecasts(self.model(variables), integrator, deviation, starts, batch)
        off = (states - batch.measured / deviation[None, None])[:, 1:]
        square = jnp.mean(jnp.where(reached[:, None, None], off, 0.0) ** 2, axis=(1, 2))
        each = {"segment_error": jnp.sqrt(square), "diverged": 1.0 - reached}
        count = jnp.asarray(square.size, off.dtype)
        return LossOutput(
            loss=jnp.sum(square) / counts["segments"],
            state=variables.state,
            metrics={
                name: Mean(total=jax.lax.stop_gradient(jnp.sum(values)), count=count) for name, values in each.items()
            },
        )

    def abstract_batch(self) -> SegmentBatch:
        return self.abstract_segments(self.phases[-1].horizon, phase=len(self.phases) - 1)

    def rollout(self, variables: Variables, batch: Float[np.ndarray, " rows"], key: Key) -> Rollout:
        """Return the segments that numbers in [0, 1) select, with the horizon of the step's phase."""
        del key
        phase = self._phase(int(variables.step))
        return Rollout(batch=self.drawn_segments(batch, self.phases[phase].horizon, phase=phase))

    def _phase(self, step: int) -> int:
        ends = np.cumsum([phase.steps for phase in self.phases])
        return min(int(np.searchsorted(ends, step, side="right")), len(self.phases) - 1)


def forecasts(
    field: RightHandSide,
    integrator: Integrator,
    deviation: Float[Array, " states"],
    starts: Float[Array, "b states"],
    batch: SegmentBatch,
) -> tuple[Float[Array, "b samples states"], Bool[Array, " b"]]:
    """Return forecasts of segments, in standard deviations of each state, and which segments reached their end.

    A state stops at DIVERGENCE_BOUND, so that a divergent forecast has a finite gradient and can be left out.

    Args:
        field: f(t, y, u) in the states' own units.
        integrator: method of solution.
        deviation: standard deviation of each state.
        starts: initial states, in units of `deviation`.
        batch: segments that give the times and inputs.
    """

    def one(start: Array, times: Array, inputs: Array | None) -> Array:
        driven = None if inputs is None else control(times, inputs)

        def scaled(t: Any, z: Array, args: Any) -> Array:
            del args
            near = jnp.all(jnp.abs(z) < DIVERGENCE_BOUND)
            there = jnp.where(near, z, 0.0)
            slope = field(t, there * deviation, None if driven is None else driven.evaluate(t)) / deviation
            return jnp.where(near, slope, 0.0)

        return integrator.states(scaled, start, times)

    states = jax.vmap(one)(starts, batch.times, batch.inputs)
    return states, jnp.all(jnp.abs(states) < DIVERGENCE_BOUND, axis=(1, 2))
