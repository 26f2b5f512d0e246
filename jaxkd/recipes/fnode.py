"""FNODE: a vector field from slopes of the data's Fourier series, whose samples its own simulations fill up."""

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
"""The validation's metric that accepts or rejects a round."""

DENSE, ACCEPTED = "dense", "accepted"
"""Series that are filled up, each with its states and slopes: the one that is learnt from, and the last good one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FNODE(MatchingRecipe):
    """loss = mean over points and states of (f(y, u) - slope)^2 / deviation(slope)^2, without solving an equation.

    Slopes are those of `fourier_fit`.  After a validation, while rounds are left, the field simulates what lies between
    the samples, and slopes are estimated anew from the denser series.  A round is rejected where the next validation's
    `rollout_error` is larger than `slack` times the least before it: learning goes on with the estimates of the last
    accepted round, and there are no more rounds.  So rounds want `evaluate_every`, and a `RolloutError` of short pieces
    among the validation's evaluators.

    With other `slopes` and no rounds this is gradient matching by finite differences or splines.

    Source: FNODE, Li et al. 2024 (arXiv 2405.11542): the loss, its inputs and the simulations between samples.  How
    the series is cut off and continued, the blend and the rule of acceptance are our own (see `fourier_fit` and
    `between`); no code of the authors is known.  Deviation: as said.
    """

    field: Field = Network()
    rounds: int = 0
    """Of simulating between the samples."""
    parts: int = 4
    """Of the time between two samples."""
    slack: float = 1.1
    """How much larger than the least error so far that of an accepted round may be: validations of a field that is
    still being learnt differ by as much."""

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
        """As of every matching recipe, after a round where one is due."""
        if not self.rounds:
            return super().rollout(variables, batch, key)
        state = variables.rollout_state
        changed = state | self._round(variables) if bool(state["due"]) else None
        state = state if changed is None else changed
        metrics = {"round": float(state["round"])}
        return Rollout(batch=drawn(self.table(state), batch), metrics=metrics, rollout_state=changed)

    def validated(self, rollout_state: Params, metrics: Mapping[str, float]) -> Params:
        """A round is due where the last one is accepted, and where it is not the series before it is taken back."""
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
        """What changes: a series that the field has filled up, or none where it diverges, which ends the rounds."""
        given = self.data.trajectories("train")
        states, slopes = _filled_up(
            self.model(variables), given.states, given.times, given.inputs, jnp.asarray(given.there), parts=self.parts
        )
        there, done = _fine_there(given, self.parts), {"due": jnp.asarray(False)}
        if not all(np.all(np.isfinite(np.asarray(series)[there])) for series in (states, slopes)):
            return done | {"ended": jnp.asarray(True)}
        return done | {DENSE: {"states": states, "slopes": slopes}, "round": variables.rollout_state["round"] + 1}


def _fine_there(given: Trajectories, parts: int) -> Bool[np.ndarray, "records fine"]:
    """Which of the finer times lie within their record."""
    fine = (given.times.shape[1] - 1) * parts + 1
    return np.arange(fine)[None] <= (given.lengths[:, None] - 1) * parts


@functools.lru_cache(maxsize=8)
def _fine_inputs(data: TrajectorySource, parts: int) -> Float[np.ndarray, "records fine inputs"] | None:
    """Between the samples by the cubics that simulations take them from."""
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
    """States and slopes of the series that the field fills up."""

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
