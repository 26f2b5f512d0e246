"""A vector field over pieces that must join up."""

import dataclasses

import jax
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxkd.recipes.multiple_shooting import MultipleShooting
from jaxkd.recipes.neural_ode import NeuralODE
from jaxkd.runtime import configs
from jaxkd.study import runs
from jaxkd.vector_fields import FixedSteps, Network, Phase
from tests.tiny_dynamics import CLEAN, KEY, NOISY, TERMS, begun, double_precision, loss, train

__all__ = ["double_precision"]

RECIPE = MultipleShooting(data=NOISY, field=Network(width=8, depth=1), rows=12, horizon=8)
NUMBERS = (np.arange(12) + 0.5) / 12


def drawn(recipe):
    return recipe.rollout(begun(recipe), NUMBERS, KEY).batch


def test_pieces_lie_end_to_end():
    batch = drawn(RECIPE)
    np.testing.assert_array_equal(batch.piece, np.arange(12))
    np.testing.assert_array_equal(batch.has_next, [True, True, True, False] * 3)
    measured = batch.segments.measured.reshape(3, 4, 9, 2)
    np.testing.assert_array_equal(measured[:, 1:, 0], measured[:, :-1, -1])
    np.testing.assert_array_equal(measured[:, 0, 0], np.asarray(NOISY.trajectories("train").states)[:, 0])


def test_starts_are_those_of_the_curves():
    state = begun(RECIPE)
    expected = RECIPE.training_estimates()[1][0][:, :32:8].reshape(12, 2)
    np.testing.assert_allclose(
        np.asarray(state.params["starts"]) * np.asarray(RECIPE.deviation(state)), expected, rtol=1e-12
    )
    described = RECIPE.abstract()
    assert jax.tree.map(np.shape, state.params) == jax.tree.map(np.shape, described.params)
    assert jax.tree.map(np.shape, drawn(RECIPE)) == jax.tree.map(np.shape, RECIPE.abstract_batch())


def test_the_true_field_from_the_true_starts_leaves_nothing():
    recipe = dataclasses.replace(RECIPE, data=CLEAN, field=TERMS, integrator=FixedSteps(substeps=4))
    state, batch = begun(recipe), drawn(recipe)
    starts = np.asarray(CLEAN.trajectories("train").states)[:, :32:8].reshape(12, 2) / np.asarray(
        recipe.deviation(state)
    )
    field = TERMS.of(CLEAN.equations(), state.frozen["scales"])
    assert loss(recipe, state.replace(params={"field": field, "starts": starts}), batch).loss < 1e-10
    starts[1] += 0.3
    moved = loss(recipe, state.replace(params={"field": field, "starts": starts}), batch)
    assert moved.metrics["gap"].value() > 0.3 / 12, "of the piece before the one that was moved, and of itself"


def test_without_continuity_it_is_a_neural_ode_from_its_own_starts():
    alone = dataclasses.replace(RECIPE, continuity=0.0)
    state, batch = begun(alone), drawn(alone)
    other = NeuralODE(data=NOISY, field=RECIPE.field, rows=12, phases=(Phase(steps=1, horizon=8),))
    expected = loss(other, state, batch.segments).loss
    off = (batch.segments.smooth - batch.segments.measured)[:, 0] / np.asarray(alone.deviation(state))
    np.testing.assert_allclose(loss(alone, state, batch).loss, (8 * expected + np.mean(off**2)) / 9, rtol=1e-10)


def test_gradients_reach_the_field_and_the_starts():
    state, batch = begun(RECIPE), drawn(RECIPE)
    check_grads(
        lambda params: loss(RECIPE, state.replace(params=params), batch).loss, (state.params,), order=1, modes=["rev"]
    )


def test_a_run_closes_the_gaps(tmp_path):
    one = train(dataclasses.replace(RECIPE, continuity=10.0), steps=80)
    one.validate()
    one.run(tmp_path, seed=0, stages={})
    learnt = runs.model(tmp_path)
    state, batch = begun(RECIPE), drawn(RECIPE)
    trained = state.replace(params=state.params | {"field": learnt.params})
    assert loss(RECIPE, trained, batch).loss < loss(RECIPE, state, batch).loss / 2
    assert configs.decode(configs.encode(RECIPE)) == RECIPE


def test_refusals():
    for changes, message in (
        ({"horizon": 0}, "horizon must be at least 1, got 0"),
        ({"horizon": 33}, "horizon must be at most 32 for the longest record of the data, got 33"),
        ({"continuity": -1.0}, "continuity must be at least 0, got -1.0"),
    ):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(RECIPE, **changes).validate()
