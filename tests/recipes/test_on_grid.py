"""Recipes that learn from trajectories learn partial differential equations too."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxkd.dynamics import GridSlopes, PeriodicGrid
from jaxkd.evals.dynamics import FieldError, RolloutError
from jaxkd.recipes.fnode import FNODE
from jaxkd.recipes.neural_ode import NeuralODE
from jaxkd.recipes.snode import SNODEMatching, SNODEResidual, SNODETuning
from jaxkd.study import Study, run_study, runs
from jaxkd.training.stage_folder import read_evaluations
from jaxkd.vector_fields import Corrected, Network, OnGrid, Phase, Terms, TermsOnGrid
from jaxkd.vector_fields.symbolic import RESIDUAL, SYMBOLIC
from tests.tiny_dynamics import KEY, ON_GRID, begun, double_precision, loss, train

__all__ = ["double_precision"]

GRID = ON_GRID.system.grid
TERMS = TermsOnGrid(grid=GRID, at_point=Terms(names=("s", "s_x", "s_xx", "u"), states=1, degree=1))
NETWORK = OnGrid(grid=GRID, at_point=Network(width=4, depth=1))
SHARED = {"data": ON_GRID, "slopes": GridSlopes(grid=GRID), "rows": 4}
PHASES = (Phase(steps=1, horizon=3),)
MATCHING = SNODEMatching(**SHARED, field=TERMS)
TUNING = SNODETuning(**SHARED, field=TERMS, phases=PHASES, equations="stage:matching")
CORRECTED = Corrected(
    symbolic=TERMS, residual=OnGrid(grid=GRID, at_point=Network(width=4, depth=1, start_at_zero=True))
)
RESIDUAL_STAGE = SNODEResidual(**SHARED, field=CORRECTED, phases=PHASES, equations="stage:tuning")
FINER = dataclasses.replace(ON_GRID, system=dataclasses.replace(ON_GRID.system, points=24))


EVALUATORS = (RolloutError(data=FINER, smooth=False, label="finer"), FieldError(data=ON_GRID))


def require_small(finer, field):
    """Both errors that the evaluators measured are small."""
    assert finer.metrics["rollout_error"] < 0.05
    assert field.metrics["field_error"] < 0.05
    forecast = finer.forecasts[0]
    assert (len(forecast.names), forecast.places) == (24, FINER.places())


@pytest.mark.slow
def test_the_equation_is_found_and_handed_on(tmp_path):
    # The equations of the first two are part of the last one.
    stages = tuple(
        train(recipe, name=name, label=name, steps=2, evaluators=evaluators)
        for name, recipe, evaluators in (
            ("matching", MATCHING, ()),
            ("tuning", TUNING, ()),
            ("residual", RESIDUAL_STAGE, EVALUATORS),
        )
    )
    rate = dataclasses.replace(stages[0].optimizer, learning_rate=1e-4)
    stages = tuple(dataclasses.replace(stage, optimizer=rate) for stage in stages)
    run_study(Study(name="on_grid", title="", description="", stages=stages), tmp_path)
    first, second, third = (runs.model(tmp_path / name / "0") for name in ("matching", "tuning", "residual"))
    assert str(first.field.equations(first.params, first.scales).rounded(1)) == "ds/dt = 0.01 s_xx + u"
    np.testing.assert_array_equal(third.params[SYMBOLIC]["coefficients"], second.params["coefficients"])
    assert np.any(jax.tree.leaves(third.params[RESIDUAL])[-1] != 0)
    found = read_evaluations(tmp_path / "residual/0")
    require_small(found["finer"], found["field_error"])


def test_what_is_learnt_is_solved_on_another_grid():
    """All of the equation but its square, which is small; forecasts from noisy starts are off by their noise."""
    recipe = NeuralODE(**SHARED, field=TERMS, phases=PHASES)
    state = begun(recipe)
    known = ON_GRID.system.equations().local
    linear = dataclasses.replace(known, coefficients=known.coefficients * [[term.is_Symbol] for term in known.terms])
    state = state.replace(params={"field": TERMS.of(linear, state.frozen["scales"])})
    require_small(*(evaluator(recipe.model(state)) for evaluator in EVALUATORS))
    batch = recipe.rollout(state, np.linspace(0, 0.99, 4), KEY).batch
    assert loss(recipe, state, batch).loss < 4 * 0.01**2


def test_a_network_is_the_same_at_every_place():
    recipe = FNODE(**SHARED, field=NETWORK)
    state = begun(recipe)
    shapes = [jax.tree.map(lambda leaf: leaf.shape, one.frozen) for one in (state, recipe.abstract())]
    assert shapes[0] == shapes[1]
    model = recipe.model(state)
    field = jax.jit(lambda t, y, u: model(t, y, u))
    given = ON_GRID.trajectories("train")
    s, u = np.asarray(given.states)[0, 5], np.asarray(given.inputs)[0, 5]
    np.testing.assert_allclose(field(0.0, np.roll(s, 3), np.roll(u, 3)), np.roll(field(0.0, s, u), 3), atol=1e-10)
    assert str(model) == "a vector field of s_0, s_1, ..., s_15"
    assert recipe.provenance() == "OnGrid of s_0, s_1, ..., s_15, from 2 records of SimulatedOnGrid"
    # At one place it is the network of the local variables.
    at_one = jax.jit(lambda s, u: NETWORK.at_point.slopes(model.params, model.scales["local"], GRID.local(s, u)[7]))
    np.testing.assert_allclose(np.asarray(field(0.0, s, u))[7], at_one(s, u)[0], rtol=1e-10)


def test_scales_are_those_of_all_places():
    scales = MATCHING.scales()
    given, (states, slopes) = MATCHING.training_estimates()
    np.testing.assert_allclose(scales["local"]["mean"][0], states.mean(), rtol=1e-9)
    np.testing.assert_allclose(scales["deviation"][:16], states.std(), rtol=1e-9)
    np.testing.assert_allclose(scales["deviation"][16:], given.inputs.std(), rtol=1e-9)
    np.testing.assert_allclose(scales["slope"], slopes.std(), rtol=1e-9)


def test_refusals():
    other = PeriodicGrid(length=1.0, quantities=("s",), inputs=("w",))
    for recipe in (MATCHING, FNODE(**SHARED, field=NETWORK)):
        wrong = dataclasses.replace(recipe, field=dataclasses.replace(recipe.field, grid=other))
        with pytest.raises(ValueError, match="grid must have the names .* s_0, .* and u_0, .*, got s and w, each"):
            wrong.validate()
    local = Terms(names=("s", "s_x", "u"), states=1)
    with pytest.raises(ValueError, match="names must be those of the data, s, s_x, s_xx, u, of which 1 are states"):
        dataclasses.replace(MATCHING, field=dataclasses.replace(TERMS, at_point=local)).validate()
