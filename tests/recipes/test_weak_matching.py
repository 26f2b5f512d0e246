"""A vector field by its integrals."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxkd.data.trajectories import MeasuredTrajectories
from jaxkd.evals.dynamics import FieldError
from jaxkd.recipes.weak_matching import WeakMatching
from jaxkd.runtime import configs
from jaxkd.training.stage_folder import read_evaluations
from jaxkd.vector_fields import Network
from tests.tiny_dynamics import CLEAN, KEY, NOISY, TERMS, begun, double_precision, loss, train

__all__ = ["double_precision"]

RECIPE = WeakMatching(data=NOISY, field=Network(width=8, depth=1), rows=6)
NUMBERS = np.linspace(0, 0.99, 6)


def drawn(recipe):
    return recipe.rollout(begun(recipe), NUMBERS, KEY).batch


def true_state(recipe, factor=1.0):
    state = begun(recipe)
    params = TERMS.of(CLEAN.equations(), state.frozen["scales"])
    return state.replace(params={"field": jax.tree.map(lambda leaf: factor * leaf, params)})


def test_the_loss_by_quadrature():
    state, batch = begun(RECIPE), drawn(RECIPE)
    field, deviation = RECIPE.model(state), np.asarray(state.frozen["scales"]["slope"])
    expected = []
    slopes_at = jax.jit(jax.vmap(lambda y: field(0.0, y)))
    for times, smooth, measured in zip(batch.times, batch.smooth, batch.measured, strict=True):
        place = np.linspace(-1, 1, 9)
        half = (times[-1] - times[0]) / 2
        bump, slope = (1 - place**2) ** 4, -8 * place * (1 - place**2) ** 3 / half
        slopes = np.asarray(slopes_at(smooth))
        left = np.trapezoid(bump[:, None] * slopes, times, axis=0)
        right = -np.trapezoid(slope[:, None] * measured, times, axis=0)
        expected.append(np.mean(((left - right) / (np.trapezoid(bump, times) * deviation)) ** 2))
    np.testing.assert_allclose(loss(RECIPE, state, batch).loss, np.mean(expected), rtol=1e-10)


def test_the_true_field_leaves_nothing_and_no_field_all():
    recipe = dataclasses.replace(RECIPE, data=CLEAN, field=TERMS)
    batch = drawn(recipe)
    assert loss(recipe, true_state(recipe), batch).loss < 1e-4, "of the trapezoidal rule, by nine points"
    assert loss(recipe, true_state(recipe, 0.0), batch).loss > 0.1


def test_micro_batches_add_up():
    state, batch = begun(RECIPE), drawn(RECIPE)
    counts = RECIPE.counts(batch)
    parts = [jax.tree.map(lambda leaf, part=part: leaf[part::2], batch) for part in range(2)]
    total = sum(float(loss(RECIPE, state, part, counts).loss) for part in parts)
    np.testing.assert_allclose(total, loss(RECIPE, state, batch).loss, rtol=1e-12)


def test_gradients():
    state, batch = begun(RECIPE), drawn(RECIPE)
    check_grads(lambda params: loss(RECIPE, state.replace(params=params), batch).loss, (state.params,), order=1)


def test_inputs_are_read(tmp_path):
    times = np.linspace(0, 3, 31)
    lines = ["run,t,x,u"] + [f"{run},{t},{np.sin(t) + run},{np.cos(t)}" for run in range(5) for t in times]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    data = MeasuredTrajectories(paths=(str(tmp_path / "a.csv"),), inputs=("u",), trajectory="run")
    terms = dataclasses.replace(TERMS, names=("x", "u"), states=1)
    recipe = dataclasses.replace(RECIPE, data=data, field=terms)
    state = begun(recipe)
    sizes = 1 / terms.equations({"coefficients": jnp.ones((3, 1))}, state.frozen["scales"]).coefficients
    params = {"field": {"coefficients": np.array([[0.0], [0.0], [1.0]]) * sizes}}  # x' = u
    assert loss(recipe, state.replace(params=params), drawn(recipe)).loss < 1e-4


def test_a_run_learns(tmp_path):
    one = train(dataclasses.replace(RECIPE, rows=32), steps=80, evaluators=(FieldError(data=CLEAN),))
    one.validate()
    one.run(tmp_path, seed=0, stages={})
    untrained = one.evaluators[0](RECIPE.model(begun(RECIPE))).metrics["field_error"]
    assert read_evaluations(tmp_path)["field_error"].metrics["field_error"] < untrained / 2
    assert configs.decode(configs.encode(RECIPE)) == RECIPE


def test_refusals():
    for window, message in (
        (8, "window must be odd and at least 5, got 8"),
        (3, "window must be odd and at least 5, got 3"),
        (35, "window - 1 must be at most 32 for the longest record of the data, got 34"),
    ):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(RECIPE, window=window).validate()
