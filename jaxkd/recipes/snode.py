"""SNODE: equations from slopes, refined through the solver, and a network for their residual."""

import dataclasses
import functools
from pathlib import Path

import jax
import jax.numpy as jnp

from jaxkd import sharding
from jaxkd.dynamics import Identified, identify
from jaxkd.records import Variables
from jaxkd.runtime.trained_params import trained_params
from jaxkd.typing import Key, Params, Scalar
from jaxkd.vector_fields.field import VectorField
from jaxkd.vector_fields.matching import MatchingRecipe
from jaxkd.vector_fields.recipe import FIELD, SCALES
from jaxkd.vector_fields.shooting import ShootingRecipe
from jaxkd.vector_fields.symbolic import RESIDUAL, SYMBOLIC, Corrected, Symbolic


@dataclasses.dataclass(frozen=True, kw_only=True)
class SNODEMatching(MatchingRecipe):
    """Stage 1: loss = mean of `(terms - slope)^2 / deviation(slope)^2` + alpha * mean of `|coefficients|`.

    `identify` chooses the terms before the first step; the others stay 0.

    Source: SNODE, Li et al. 2025 (arXiv 2503.08059), stage 1, whose alpha is 0.01 in the one experiment known to us.
    Deviation: a library that is linear in its coefficients in place of a symbolic network, whose training by gradients
    is not reliable; terms chosen in the weak form.
    """

    field: Symbolic
    """Candidate terms of the equations."""
    alpha: float = 0.0
    """Weight of the penalty that pulls coefficients towards 0, >= 0."""

    def validate(self) -> None:
        super().validate()
        if not self.alpha >= 0:
            raise ValueError(f"alpha must be at least 0, got {self.alpha}.")

    def init(self, key: Key) -> Variables:
        variables = super().init(key)
        found = _identified(self)
        params = self.field.of(found.equations, variables.frozen[SCALES])
        return variables.replace(params=sharding.shard({FIELD: params}))

    def penalty(self, params: Params) -> Scalar | float:
        return self.alpha * jnp.mean(jnp.abs(params["coefficients"]))


@dataclasses.dataclass(frozen=True, kw_only=True)
class SNODETuning(ShootingRecipe):
    """Stage 2: loss = mean of (forecast - measured)^2 / deviation^2, over the coefficients of the equations.

    Source: SNODE (arXiv 2503.08059), stage 2: Euler over more and more samples, then Dopri5 over twenty (`euler_first`
    makes such phases).  Deviation: pieces sampled from the records; with `Terms(open=False)` no term that stage 1
    dropped returns.
    """

    field: Symbolic
    """Terms of the equations of stage 1."""
    equations: str
    """Folder of the run that found the equations, or "stage:NAME"."""

    def init(self, key: Key) -> Variables:
        variables = super().init(key)
        return variables.replace(params=trained_params(Path(self.equations), self.abstract().params))


@dataclasses.dataclass(frozen=True, kw_only=True)
class SNODEResidual(ShootingRecipe):
    """Stage 3: the loss of stage 2 over a network that is added to the equations, which stay fixed.

    The network starts at 0, so the stage starts at the error of the equations alone.

    Source: SNODE (arXiv 2503.08059), stage 3.  Deviation: none known to us.
    """

    field: Corrected
    """Terms of the equations, and the network that is added to them."""
    equations: str
    """Folder of the run that found the equations, or "stage:NAME"."""

    def abstract(self) -> Variables:
        whole = super().abstract()
        params = whole.params[FIELD]
        return whole.replace(
            params={FIELD: {RESIDUAL: params[RESIDUAL]}}, frozen=whole.frozen | {SYMBOLIC: params[SYMBOLIC]}
        )

    def init(self, key: Key) -> Variables:
        variables = super().init(key)
        residual = {FIELD: {RESIDUAL: variables.params[FIELD][RESIDUAL]}}
        return variables.replace(params=residual, frozen=self.load_base())

    def load_base(self) -> Params:
        frozen = super().load_base()
        target = sharding.with_shardings(
            {FIELD: jax.eval_shape(lambda scales: self.field.symbolic.init(jax.random.key(0), scales), frozen[SCALES])}
        )
        return frozen | {SYMBOLIC: trained_params(Path(self.equations), target)[FIELD]}

    def model(self, variables: Variables) -> VectorField:
        whole = variables.params[FIELD] | {SYMBOLIC: variables.frozen[SYMBOLIC]}
        return super().model(variables.replace(params={FIELD: whole}))


@functools.lru_cache(maxsize=8)
def _identified(recipe: SNODEMatching) -> Identified:
    given, (smooth, _) = recipe.training_estimates()
    given, (states, inputs) = recipe.field.records(given, smooth), recipe.field.symbols()
    return identify(
        given.states,
        given.times,
        names=states,
        terms=recipe.field.terms(),
        inputs=given.inputs,
        input_names=inputs,
        lengths=given.lengths.tolist(),
    )
