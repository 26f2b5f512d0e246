"""FNODE: a vector field from slopes of the data's Fourier series, with samples densified by simulation."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxkd.data.trajectories.sources import TrajectorySource
from jaxkd.dynamics.derivatives.slopes import fourier_slopes
from jaxkd.dynamics.derivatives.subdivision import interpolate, subdivided
from jaxkd.dynamics.derivatives.trajectories import Trajectories
from jaxkd.dynamics.solvers.control import control
from jaxkd.records import Rollout, Variables
from jaxkd.typing import Key, Params
from jaxkd.vector_fields.field import Field, Network, VectorField
from jaxkd.vector_fields.matching import MatchingRecipe, SlopeBatch, drawn, slope_batch
from jaxkd.vector_fields.recipe import on_host

ERROR = "rollout_error"
"""Validation metric that accepts or rejects a round."""

DENSE, ACCEPTED = "dense", "accepted"
"""Names of the densified series, each with states and slopes: the training series, and the last accepted one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FNODE(MatchingRecipe):
    """loss = mean over points and states of (f(y, u) - slope)^2 / deviation(slope)^2, without solving an equation.

    Slopes are those of `fourier_fit`.  After a validation, while rounds remain, the field simulates the gaps between
    the samples, and slopes are estimated anew from the denser series.  A round is rejected if the next validation's
    `rollout_error` exceeds `slack` times the previous minimum: training continues with the estimates of the last
    accepted round, and no further rounds follow.  So rounds need `evaluate_every`, and a `RolloutError` on short pieces
    among the validation evaluators.

    With other `slopes` and no rounds this is gradient matching by finite differences or splines.

    Source: FNODE, Li et al. 2024 (arXiv 2405.11542): the loss, its inputs and the simulations between samples.  The
    truncation and continuation of the series, the blend and the acceptance rule are our own (see `fourier_fit` and
    `interpolate`); no code of the authors is known.  Deviation: as stated.
    """

    field: Field = Network()
    """Vector field f to learn.  Default: a neural network."""
    rounds: int = 0
    """Number of rounds of simulation between the samples."""
    parts: int = 4
    """Number of parts that the time between two samples is divided into."""
    slack: float = 1.1
    """Largest error of an accepted round, relative to the minimum so far: validations of a field in training fluctuate
    this much."""

    def validate(self) -> None:
        super().validate()
        for name, least in (("rounds", 0), ("parts", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}.")
        if not self.slack >= 1:
            raise ValueError(f"slack must be at least 1, got {self.slack}.")

    def table(self, rollout_state: Params) -> SlopeBatch:
        if not self.rounds or not int(rollout_state["round"]):
            return super().table(rollout_state)
        there = _fine_there(self.data.trajectories("train"), self.parts)
        states, slopes = (on_host(rollout_state[DENSE])[name][there] for name in ("states", "slopes"))
        inputs = _fine_inputs(self.data, self.parts)
        return slope_batch(states if inputs is None else np.concatenate([states, inputs[there]], axis=1), slopes)

    def rollout(self, variables: Variables, batch: Float[np.ndarray, " rows"], key: Key) -> Rollout:
        """Sample a batch as every matching recipe does, after a round of simulation if one is due."""
        if not self.rounds:
            return super().rollout(variables, batch, key)
        state = variables.rollout_state
        changed = state | self._round(variables) if bool(state["due"]) else None
        state = state if changed is None else changed
        metrics = {"round": float(state["round"])}
        return Rollout(batch=drawn(self.table(state), batch), metrics=metrics, rollout_state=changed)

    def validated(self, rollout_state: Params, metrics: Mapping[str, float]) -> Params:
        """Accept the last round and schedule the next, or reject it and restore the series before it."""
        if not self.rounds or ERROR not in metrics or bool(rollout_state["ended"]):
            return rollout_state
        error = jnp.asarray(metrics[ERROR], jnp.float64)
        if bool(error <= self.slack * rollout_state["error"]):
            least = jnp.minimum(error, rollout_state["error"])
            return rollout_state | {
                ACCEPTED: rollout_state[DENSE],
                "error": least,
                "due": rollout_state["round"] < self.rounds,
            }
        return rollout_state | {
            DENSE: rollout_state[ACCEPTED],
            "round": rollout_state["round"] - 1,
            "ended": jnp.asarray(True),
        }

    def abstract_rollout_state(self) -> Params:
        return jax.eval_shape(self.initial_rollout_state)

    def initial_rollout_state(self) -> Params:
        if not self.rounds:
            return {}
        given = self.data.trajectories("train")
        records, samples, states = given.states.shape
        nothing = jnp.zeros((records, (samples - 1) * self.parts + 1, states))
        series = {"states": nothing, "slopes": nothing}
        return {
            DENSE: series,
            ACCEPTED: series,
            "round": jnp.int32(0),
            "error": jnp.float64(jnp.inf),
            "due": jnp.bool_(False),
            "ended": jnp.bool_(False),
        }

    def _round(self, variables: Variables) -> Params:
        """Return the changes of the state: a densified series, or the end of the rounds if the field diverges."""
        given = self.data.trajectories("train")
        states, slopes = _filled_up(
            self.model(variables), given.states, given.times, given.inputs, jnp.asarray(given.there), parts=self.parts
        )
        there, done = _fine_there(given, self.parts), {"due": jnp.asarray(False)}
        if not all(np.all(np.isfinite(np.asarray(series)[there])) for series in (states, slopes)):
            return done | {"ended": jnp.asarray(True)}
        return done | {DENSE: {"states": states, "slopes": slopes}, "round": variables.rollout_state["round"] + 1}


def _fine_there(given: Trajectories, parts: int) -> Bool[np.ndarray, "records fine"]:
    """Mask the finer times that lie within their record."""
    fine = (given.times.shape[1] - 1) * parts + 1
    return np.arange(fine)[None] <= (given.lengths[:, None] - 1) * parts


@functools.lru_cache(maxsize=8)
def _fine_inputs(data: TrajectorySource, parts: int) -> Float[np.ndarray, "records fine inputs"] | None:
    """Return the inputs at the finer times, from the cubics that simulations use."""
    given = data.trajectories("train")
    if given.inputs is None:
        return None
    driven = jax.vmap(lambda times, inputs: jax.vmap(control(times, inputs).evaluate)(subdivided(times, parts)))
    return np.asarray(driven(given.times, given.inputs))


@functools.partial(jax.jit, static_argnames="parts")
def _filled_up(
    model: VectorField,
    measured: Float[Array, "records times states"],
    times: Float[Array, "records times"],
    inputs: Float[Array, "records times inputs"] | None,
    there: Bool[Array, "records times"],
    *,
    parts: int,
) -> tuple[Float[Array, "records fine states"], Float[Array, "records fine states"]]:
    """Return states and slopes of the series densified by the field."""

    def filled(states: Array, times: Array, inputs: Array | None) -> Array:
        driven = None if inputs is None else control(times, inputs)

        def field(t: Any, y: Array, args: Any) -> Array:
            del args
            return model(t, y, None if driven is None else driven.evaluate(t))

        return interpolate(field, states, times, parts=parts)

    series = jax.vmap(filled)(measured, times, inputs)
    fine_times = jax.vmap(lambda one: subdivided(one, parts))(times)
    within = jnp.arange(fine_times.shape[1])[None] <= (jnp.sum(there, axis=1)[:, None] - 1) * parts
    return fourier_slopes(series, fine_times, within)
