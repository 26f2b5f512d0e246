"""A vector field through the solver."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.integrate import solve_ivp

from jaxkd.data.trajectories import MeasuredTrajectories
from jaxkd.evals.dynamics import RolloutError
from jaxkd.recipes.neural_ode import NeuralODE
from jaxkd.runtime import configs
from jaxkd.study import runs
from jaxkd.training.stage_folder import read_evaluations
from jaxkd.vector_fields import AdaptiveSteps, FixedSteps, Network, Phase
from jaxkd.vector_fields.shooting import euler_first
from tests.tiny_dynamics import CLEAN, KEY, NOISY, TERMS, begun, double_precision, loss, train

__all__ = ["double_precision"]

EULER = FixedSteps(method="euler")
RECIPE = NeuralODE(data=NOISY, field=Network(width=8, depth=1), rows=6, phases=(Phase(steps=1, horizon=5),))
NUMBERS = np.linspace(0, 0.99, 6)


def drawn(recipe, state=None):
    return recipe.rollout(begun(recipe) if state is None else state, NUMBERS, KEY).batch


def true_state(recipe):
    state = begun(recipe)
    return state.replace(params={"field": TERMS.of(CLEAN.equations(), state.frozen["scales"])})


@functools.cache
def loss_of_scipy():
    state, batch = begun(RECIPE), drawn(RECIPE)
    field, deviation = RECIPE.model(state), np.asarray(state.frozen["scales"]["deviation"])
    right = jax.jit(lambda y: field(0.0, y))
    expected = []
    for start, times, targets in zip(batch.smooth[:, 0], batch.times, batch.measured, strict=True):
        span = (times[0], times[-1])
        want = solve_ivp(lambda t, y: np.asarray(right(y)), span, start, "DOP853", times, rtol=1e-9, atol=1e-9)
        expected.append(np.mean(((want.y.T - targets) / deviation)[1:] ** 2))
    return np.mean(expected)


@pytest.mark.parametrize(
    ("integrator", "tolerance"),
    [
        (FixedSteps(substeps=8), 1e-6),
        (AdaptiveSteps(rtol=1e-8, atol=1e-10), 1e-6),
        (AdaptiveSteps(method="dopri5"), 1e-2),
    ],
    ids=["rk4", "tsit5", "dopri5"],
)
def test_the_loss_is_that_of_scipy(integrator, tolerance):
    recipe = dataclasses.replace(RECIPE, phases=(Phase(steps=1, horizon=5, integrator=integrator),))
    np.testing.assert_allclose(loss(recipe, begun(RECIPE), drawn(recipe)).loss, loss_of_scipy(), rtol=tolerance)


def test_the_true_field_leaves_nothing():
    recipe = dataclasses.replace(RECIPE, data=CLEAN, field=TERMS, smooth=False)
    output = loss(recipe, true_state(recipe), drawn(recipe))
    assert output.loss < 1e-10
    assert output.metrics["diverged"].value() == 0


def test_micro_batches_add_up():
    state, batch = begun(RECIPE), drawn(RECIPE)
    counts = RECIPE.counts(batch)
    parts = [jax.tree.map(lambda leaf, part=part: leaf[part::3], batch) for part in range(3)]
    total = sum(float(loss(RECIPE, state, part, counts).loss) for part in parts)
    np.testing.assert_allclose(total, loss(RECIPE, state, batch).loss, rtol=1e-12)


@pytest.mark.parametrize("integrator", [FixedSteps(), EULER], ids=["rk4", "euler"])
def test_gradients(integrator):
    recipe = dataclasses.replace(RECIPE, phases=(Phase(steps=1, horizon=5, integrator=integrator),))
    state, batch = begun(RECIPE), drawn(recipe)
    check_grads(
        lambda params: loss(recipe, state.replace(params=params), batch).loss, (state.params,), order=1, modes=["rev"]
    )


def test_pieces_lie_within_their_record():
    recipe = dataclasses.replace(RECIPE, phases=(Phase(steps=1, horizon=32),), smooth=False)
    batch = drawn(recipe, begun(RECIPE))
    given = NOISY.trajectories("train")
    np.testing.assert_array_equal(batch.measured, np.asarray(given.states)[[0, 0, 1, 1, 2, 2]])
    np.testing.assert_array_equal(batch.smooth, recipe.training_estimates()[1][0][[0, 0, 1, 1, 2, 2]])


def test_phases_follow_one_another():
    phases = euler_first((1, 2), steps=3, then=Phase(steps=1, horizon=4, integrator=AdaptiveSteps()))
    recipe = dataclasses.replace(RECIPE, phases=phases)
    found = [drawn(recipe, begun(RECIPE).replace(step=step)) for step in range(9)]
    assert [batch.phase for batch in found] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [batch.times.shape[1] - 1 for batch in found] == [1, 1, 1, 2, 2, 2, 4, 4, 4]
    assert jax.tree.map(np.shape, found[-1]) == jax.tree.map(np.shape, recipe.abstract_batch())
    assert [phase.integrator for phase in phases[:2]] == [EULER, EULER]
    assert configs.decode(configs.encode(recipe)) == recipe


def test_forecasts_that_run_out_of_steps_are_left_out():
    short = AdaptiveSteps(rtol=1e-10, atol=1e-12, max_steps=2)
    recipe = dataclasses.replace(RECIPE, phases=(Phase(steps=1, horizon=20, integrator=short),))
    output = loss(recipe, begun(RECIPE), drawn(recipe, begun(RECIPE)))
    assert output.loss == 0
    assert output.metrics["diverged"].value() == 1


@pytest.mark.parametrize("integrator", [FixedSteps(), EULER, AdaptiveSteps()], ids=["rk4", "euler", "adaptive"])
def test_what_diverges_is_left_out_of_the_gradient_too(integrator):
    wild = dataclasses.replace(TERMS, degree=3)
    recipe = dataclasses.replace(RECIPE, field=wild, phases=(Phase(steps=1, horizon=20, integrator=integrator),))
    state = begun(dataclasses.replace(RECIPE, field=wild))
    params = {"field": {"coefficients": np.full((10, 2), 30.0)}}
    batch = drawn(recipe, state)

    @jax.jit
    def gradient_and_metrics(params):
        def value(params):
            output = loss(recipe, state.replace(params=params), batch)
            return output.loss, output.metrics

        return jax.grad(value, has_aux=True)(params)

    gradient, metrics = gradient_and_metrics(params)
    assert metrics["diverged"].value() == 1
    np.testing.assert_array_equal(gradient["field"]["coefficients"], np.zeros((10, 2)))


def test_inputs_drive_the_forecasts(tmp_path):
    times = np.linspace(0, 3, 31)
    lines = ["run,t,x,u"] + [f"{run},{t},{np.sin(t) + run},{np.cos(t)}" for run in range(5) for t in times]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    data = MeasuredTrajectories(paths=(str(tmp_path / "a.csv"),), inputs=("u",), trajectory="run")
    terms = dataclasses.replace(TERMS, names=("x", "u"), states=1)
    recipe = NeuralODE(data=data, field=terms, rows=6, smooth=False, phases=(Phase(steps=1, horizon=10),))
    state = recipe.init(KEY)
    sizes = 1 / terms.equations({"coefficients": jnp.ones((3, 1))}, state.frozen["scales"]).coefficients
    params = {"field": {"coefficients": np.array([[0.0], [0.0], [1.0]]) * sizes}}  # x' = u
    assert loss(recipe, state.replace(params=params), drawn(recipe, state)).loss < 1e-5


@pytest.mark.slow
def test_a_run_learns_through_its_phases(tmp_path):
    phases = euler_first((1, 3), steps=15, then=Phase(steps=1, horizon=8))
    one = train(
        dataclasses.replace(RECIPE, phases=phases, rows=16),
        steps=60,
        evaluators=(RolloutError(data=CLEAN, smooth=False),),
    )
    one.validate()
    one.run(tmp_path, seed=0, stages={})
    untrained = one.evaluators[0](RECIPE.model(begun(RECIPE))).metrics["rollout_error"]
    assert read_evaluations(tmp_path)["rollout_error"].metrics["rollout_error"] < untrained / 2
    assert runs.model(tmp_path).states == ("x", "v")


def test_refusals():
    for changes, message in (
        ({"phases": ()}, "phases must hold at least one Phase, got none"),
        (
            {"phases": (Phase(steps=1, horizon=33),)},
            "horizon must be at most 32 for the longest record of the data, got 33",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(RECIPE, **changes).validate()
    for make, message in (
        (lambda: Phase(steps=0, horizon=1), "steps must be at least 1, got 0"),
        (lambda: Phase(steps=1, horizon=0), "horizon must be at least 1, got 0"),
        (lambda: FixedSteps(substeps=0), "substeps must be at least 1, got 0"),
        (lambda: AdaptiveSteps(rtol=0), "rtol must be > 0, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
