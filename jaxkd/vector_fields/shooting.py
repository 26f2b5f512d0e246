"""Learning by solving: a field's short forecasts from many samples, held against what was measured."""

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
    """Equal steps from sample to sample, through which gradients flow as through any other code."""

    method: Literal["euler", "rk4"] = "rk4"
    substeps: int = 1
    """Steps from one sample to the next."""

    def __post_init__(self) -> None:
        if self.substeps < 1:
            raise ValueError(f"substeps must be at least 1, got {self.substeps}.")

    def states(self, field: RightHandSide, start: Float[Array, " states"], times: Float[Array, " times"]) -> Array:
        """At the times, the first of which is the start's."""
        method = {"euler": EULER, "rk4": RK4}[self.method]
        return fixed_step(field, start, times, method=method, substeps=self.substeps)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdaptiveSteps:
    """Steps that a tolerance decides, with checkpoints for the gradient."""

    method: Literal["tsit5", "dopri5"] = "tsit5"
    rtol: float = 1e-3
    atol: float = 1e-6
    """In the states' deviations."""
    max_steps: int = 256
    """Of a forecast; one that takes more is left out of the loss."""

    def __post_init__(self) -> None:
        self._solver()

    def states(self, field: RightHandSide, start: Float[Array, " states"], times: Float[Array, " times"]) -> Array:
        """At the times, the first of which is the start's; inf where steps ran out."""
        return solve(field, start, times, solver=self._solver()).states

    def _solver(self) -> Solver:
        method = {"tsit5": diffrax.Tsit5, "dopri5": diffrax.Dopri5}[self.method]()
        return Solver(method=method, rtol=self.rtol, atol=self.atol, max_steps=self.max_steps)


DIVERGENCE_BOUND = 1e3
"""In spreads."""

Integrator: TypeAlias = FixedSteps | AdaptiveSteps


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phase:
    """Steps of a run whose forecasts are equally long."""

    steps: int
    """Optimizer steps; the last phase goes on until the run ends."""
    horizon: int
    """Samples that a forecast reaches."""
    integrator: Integrator = FixedSteps()

    def __post_init__(self) -> None:
        for name in ("steps", "horizon"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")


def euler_first(horizons: tuple[int, ...], *, steps: int, then: Phase) -> tuple[Phase, ...]:
    """A curriculum: so many steps of Euler at each horizon, and after them another phase."""
    euler = FixedSteps(method="euler")
    return (*(Phase(steps=steps, horizon=horizon, integrator=euler) for horizon in horizons), then)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShootingRecipe(SegmentRecipe):
    """A method that learns a field by what its forecasts miss.

    A method says what is trained and what is fixed, in `abstract`, `init` and `model`.
    """

    phases: tuple[Phase, ...] = (Phase(steps=1, horizon=20),)
    smooth: bool = True
    """Forecasts begin where the curve through the samples is, not at the sample itself."""

    def validate(self) -> None:
        """As every recipe of fields, and records that are too short for a phase.

        Raises:
            ValueError: as said, or no phases.
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
        """The pieces that numbers in [0, 1) stand for, as long as the phase of the step says."""
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
    """Forecast errors of pieces, in standard deviations of each state, and which pieces got to their end.

    A state stops at DIVERGENCE_BOUND, so that a forecast that diverges has a finite gradient and can be left out.

    Args:
        field: f(t, y, u) in the states' own units.
        integrator: how it is solved.
        deviation: of each state.
        starts: in units of it.
        batch: whose times and inputs they are.
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
