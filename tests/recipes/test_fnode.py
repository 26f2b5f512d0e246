"""A vector field from slopes."""

import dataclasses
import json
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd import evaluate
from jaxkd.data.trajectories import MeasuredTrajectories
from jaxkd.dynamics import CentralDifferences
from jaxkd.dynamics.derivatives.subdivision import subdivided
from jaxkd.evals.dynamics import RolloutError
from jaxkd.recipes.fnode import FNODE
from jaxkd.runtime import configs
from jaxkd.runtime.interrupt import Interrupted
from jaxkd.study import runs
from jaxkd.training.stage_folder import read_evaluations
from jaxkd.vector_fields import Network
from jaxkd.vector_fields.field import VectorField
from jaxkd.vector_fields.matching import drawn
from tests.tiny_dynamics import CLEAN, KEY, NOISY, TERMS, begun, double_precision, loss, train

__all__ = ["double_precision"]

RECIPE = FNODE(data=NOISY, field=Network(width=8, depth=1), rows=12)


@pytest.fixture
def single_precision():
    """The precision of a program, float32, restored after a test that changes it."""
    yield
    jax.config.update("jax_enable_x64", False)


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_the_loss_by_hand():
    state = begun(RECIPE)
    batch = RECIPE.rollout(state, np.linspace(0, 0.99, 12), KEY).batch
    field, scales = RECIPE.model(state), state.frozen["scales"]
    found = np.asarray(jax.jit(jax.vmap(lambda y: field(0.0, y)))(batch.variables))
    expected = np.mean(((found - batch.slopes) / np.asarray(scales["slope"])) ** 2)
    output = loss(RECIPE, state, batch)
    np.testing.assert_allclose(output.loss, expected, rtol=1e-12)
    assert 0 < float(output.metrics["slope_error"].value()) <= np.sqrt(expected)


def test_micro_batches_add_up():
    state = begun(RECIPE)
    batch = RECIPE.rollout(state, np.linspace(0, 0.99, 12), KEY).batch
    counts = RECIPE.counts(batch)
    parts = [jax.tree.map(lambda leaf, part=part: leaf[part::3], batch) for part in range(3)]
    total = sum(float(loss(RECIPE, state, part, counts).loss) for part in parts)
    np.testing.assert_allclose(total, loss(RECIPE, state, batch).loss, rtol=1e-12)


def test_the_true_field_matches_the_slopes():
    recipe = dataclasses.replace(RECIPE, data=CLEAN, field=TERMS)
    state = begun(recipe)
    state = state.replace(params={"field": TERMS.of(CLEAN.equations(), state.frozen["scales"])})
    batch = recipe.rollout(state, np.linspace(0, 0.99, 12), KEY).batch
    assert loss(recipe, state, batch).loss < 1e-4


def test_the_table_holds_each_sample_once():
    table = RECIPE.table({})
    assert table.variables.shape == (3 * 33, 2)
    everything = drawn(table, (np.arange(99) + 0.5) / 99)
    np.testing.assert_array_equal(everything.slopes, table.slopes)


def test_another_estimator():
    recipe = dataclasses.replace(RECIPE, slopes=CentralDifferences())
    given = NOISY.trajectories("train")
    np.testing.assert_array_equal(recipe.table({}).variables, np.asarray(given.states).reshape(-1, 2))


def test_a_recipe_describes_what_it_makes():
    for recipe in (RECIPE, dataclasses.replace(RECIPE, rounds=1)):
        made, described = begun(recipe), recipe.abstract()
        for tree in ("params", "frozen", "rollout_state"):
            ours, theirs = getattr(made, tree), getattr(described, tree)
            assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), ours) == jax.tree.map(
                lambda leaf: (leaf.shape, leaf.dtype), theirs
            )
        batch = recipe.rollout(made, np.zeros(12), KEY).batch
        assert jax.tree.map(np.shape, batch) == jax.tree.map(np.shape, recipe.abstract_batch())
    assert configs.decode(configs.encode(RECIPE)) == RECIPE


def test_a_round_fills_the_series_up():
    recipe = dataclasses.replace(RECIPE, data=CLEAN, field=TERMS, rounds=2)
    state = begun(recipe)
    state = state.replace(params={"field": TERMS.of(CLEAN.equations(), state.frozen["scales"])})
    kept = recipe.validated(state.rollout_state, {"rollout_error": 0.5})
    assert kept["due"]
    rollout = recipe.rollout(state.replace(rollout_state=kept), np.zeros(12), KEY)
    assert rollout.metrics == {"round": 1.0}
    assert not rollout.rollout_state["due"]
    table = recipe.table(rollout.rollout_state)
    assert table.slopes.shape == (3 * 129, 2)
    field = CLEAN.equations().vector_field()
    expected = np.asarray(jax.jit(jax.vmap(lambda y: field(0.0, y)))(table.variables))
    assert np.sqrt(np.mean((table.slopes - expected) ** 2)) < 1e-3


def test_rounds_end_where_one_is_rejected():
    recipe = dataclasses.replace(RECIPE, rounds=5)
    state = begun(recipe)
    kept = recipe.validated(state.rollout_state, {"rollout_error": 0.5})
    first = recipe.rollout(state.replace(rollout_state=kept), np.zeros(12), KEY).rollout_state
    accepted = recipe.validated(first, {"rollout_error": 0.4})
    second = recipe.rollout(state.replace(rollout_state=accepted), np.zeros(12), KEY).rollout_state
    assert int(second["round"]) == 2
    assert recipe.validated(second, {"rollout_error": 0.43})["due"], "within the slack"
    back = recipe.validated(second, {"rollout_error": 0.45})
    assert back["ended"]
    assert not back["due"]
    assert int(back["round"]) == 1
    np.testing.assert_array_equal(back["dense"]["slopes"], accepted["accepted"]["slopes"])
    assert recipe.validated(back, {"rollout_error": 0.1}) is back
    assert recipe.validated(first, {"other": 0.1}) is first


def test_a_rejected_first_round_goes_back_to_the_samples():
    recipe = dataclasses.replace(RECIPE, rounds=2)
    state = begun(recipe)
    kept = recipe.validated(state.rollout_state, {"rollout_error": 0.5})
    first = recipe.rollout(state.replace(rollout_state=kept), np.zeros(12), KEY).rollout_state
    back = recipe.validated(first, {"rollout_error": 0.6})
    np.testing.assert_array_equal(recipe.table(back).slopes, RECIPE.table({}).slopes)


def test_there_are_no_more_rounds_than_asked_for():
    recipe = dataclasses.replace(RECIPE, rounds=1)
    state = begun(recipe)
    kept = recipe.validated(state.rollout_state, {"rollout_error": 0.5})
    first = recipe.rollout(state.replace(rollout_state=kept), np.zeros(12), KEY).rollout_state
    assert not recipe.validated(first, {"rollout_error": 0.4})["due"]


def test_a_field_that_diverges_ends_the_rounds():
    recipe = dataclasses.replace(RECIPE, field=dataclasses.replace(TERMS, degree=3), rounds=1)
    state = begun(recipe)
    wild = jax.tree.map(lambda leaf: np.full(leaf.shape, 1e200), state.params)
    kept = recipe.validated(state.rollout_state, {"rollout_error": 0.5})
    rollout = recipe.rollout(state.replace(params=wild, rollout_state=kept), np.zeros(12), KEY)
    assert rollout.rollout_state["ended"]
    assert rollout.metrics == {"round": 0.0}
    assert np.all(np.isfinite(rollout.batch.slopes))


def test_inputs_are_learnt_from_too(tmp_path):
    times = np.linspace(0, 3, 31)
    lines = ["run,t,x,u"] + [f"{run},{t},{np.sin(t + run)},{np.cos(t)}" for run in range(5) for t in times]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    data = MeasuredTrajectories(paths=(str(tmp_path / "a.csv"),), inputs=("u",), trajectory="run")
    recipe = dataclasses.replace(RECIPE, data=data, rounds=1)
    recipe.validate()
    state = begun(recipe)
    table = recipe.table(state.rollout_state)
    np.testing.assert_allclose(table.variables[:31, 1], np.cos(times))
    kept = recipe.validated(state.rollout_state, {"rollout_error": 0.5})
    dense = recipe.table(recipe.rollout(state.replace(rollout_state=kept), np.zeros(12), KEY).rollout_state)
    fine = np.asarray(subdivided(jnp.asarray(times), 4))
    np.testing.assert_allclose(dense.variables[: fine.size, 1], np.cos(fine), atol=2e-3)


@pytest.mark.slow
def test_a_run_learns_and_is_read_again(tmp_path, capsys, single_precision):
    one = train(
        RECIPE,
        steps=60,
        evaluate_every=20,
        keep_best="rollout_error",
        validation=(RolloutError(data=NOISY, split="validation"),),
        evaluators=(RolloutError(data=NOISY),),
    )
    one.validate()
    one.run(tmp_path, seed=0, stages={})
    losses = [row["train/loss"] for row in rows(tmp_path) if "train/loss" in row]
    assert losses[-1] < losses[0] / 4
    learnt = runs.model(tmp_path)
    assert isinstance(learnt, VectorField)
    evaluate.main(["--run", str(tmp_path)])
    expected = read_evaluations(tmp_path)["rollout_error"].metrics["rollout_error"]
    assert f"rollout_error  {expected:.6g}\n" in capsys.readouterr().out
    assert RolloutError(data=NOISY)(learnt) == read_evaluations(tmp_path)["rollout_error"]
    with pytest.raises(ValueError, match="run must be the folder of a run that trained a language model, got"):
        runs.language_model(tmp_path)


@pytest.mark.slow
def test_a_run_with_rounds_that_was_stopped_continues_bitwise(tmp_path, monkeypatch):
    one = train(
        dataclasses.replace(RECIPE, rounds=2),
        steps=6,
        evaluate_every=2,
        validation=(RolloutError(data=NOISY, split="validation"),),
    )
    one.run(tmp_path / "whole", seed=1, stages={})
    steps, table = [], FNODE.table

    def table_and_stop(self, kept):
        steps.append(kept)
        if len(steps) == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return table(self, kept)

    with monkeypatch.context() as patched:
        patched.setattr(FNODE, "table", table_and_stop)
        with pytest.raises(Interrupted):
            one.run(tmp_path / "parts", seed=1, stages={})
    one.run(tmp_path / "parts", seed=1, stages={})
    whole, parts = (runs.model(tmp_path / name).params for name in ("whole", "parts"))
    jax.tree.map(np.testing.assert_array_equal, whole, parts)
    values = [
        [row["train/loss"] for row in rows(tmp_path / name) if "train/loss" in row] for name in ("whole", "parts")
    ]
    assert values[0] == values[1]
    assert {row["train/round"] for row in rows(tmp_path / "whole") if "train/round" in row} >= {0.0, 1.0}


def test_refusals():
    with jax.enable_x64(False), pytest.raises(ValueError, match="precision must be 'float64' where a vector field"):
        RECIPE.validate()
    for changes, message in (
        ({"rounds": -1}, "rounds must be at least 0, got -1"),
        ({"parts": 0}, "parts must be at least 1, got 0"),
        ({"slack": 0.9}, "slack must be at least 1, got 0.9"),
        ({"rows": 0}, "rows must be at least 1, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(RECIPE, **changes).validate()
