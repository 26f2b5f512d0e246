"""Forecasts of a vector field, and its error where the truth is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.data.trajectories import MeasuredTrajectories
from jaxkd.evals.comparison import compare
from jaxkd.evals.dynamics import FieldError, RolloutError
from jaxkd.evals.dynamics.rollout_error import CAP
from jaxkd.evals.headline import ROLLOUT_ERROR
from jaxkd.training import Evaluation
from jaxkd.vector_fields import Terms
from jaxkd.vector_fields.field import VectorField
from tests.tiny_dynamics import CLEAN, NOISY, SCALES, double_precision, truth

__all__ = ["double_precision"]


def test_the_true_field_forecasts_what_was_measured():
    found = RolloutError(data=CLEAN, smooth=False)(truth())
    assert found.metrics["rollout_error"] < 1e-5
    assert found.metrics["diverged"] == 0
    assert found.metrics["pieces"] == 3
    assert found.keys == ("trajectory 0", "trajectory 1", "trajectory 2")
    shown = found.forecasts[0]
    assert shown.names == ("x", "v")
    np.testing.assert_allclose(shown.measured, CLEAN.trajectories("test").states[0])
    np.testing.assert_allclose(shown.forecast, shown.measured, atol=1e-4)
    assert Evaluation.from_json(found.to_json()) == found


def test_noise_is_all_that_is_left_on_noisy_records():
    found = RolloutError(data=NOISY, split="validation")(truth())
    assert found.metrics["rollout_error"] == pytest.approx(0.01, rel=0.7)


def test_the_error_is_that_of_a_solution_by_hand():
    """At rest a forecast is its start."""
    found = RolloutError(data=CLEAN, smooth=False)(truth(0.0))
    states = np.asarray(CLEAN.trajectories("test").states)
    off = (states[:, 1:] - states[:, :1]) / states.std(axis=(0, 1))
    assert found.metrics["rollout_error"] == pytest.approx(np.sqrt(np.mean(off**2)))
    np.testing.assert_allclose(found.per_example["square"], np.mean(off**2, axis=(1, 2)))


def test_two_fields_are_compared_by_it():
    """The difference of two root mean squares, not a mean of squares."""
    found = [RolloutError(data=CLEAN, smooth=False, pieces=2)(truth(factor)) for factor in (0.9, 0.5)]
    comparison = compare("near", found[:1], "far", found[1:], headline=ROLLOUT_ERROR, samples=200)
    first, second = (one.metrics["rollout_error"] for one in found)
    assert comparison.interval.estimate == pytest.approx(first - second)
    assert comparison.interval.high < 0
    assert str(comparison).startswith("near is better than far by ")


def test_pieces_begin_where_the_last_one_ends():
    whole, halves = (RolloutError(data=CLEAN, smooth=False, pieces=pieces)(truth(0.0)) for pieces in (1, 2))
    assert halves.metrics["pieces"] == 6
    assert halves.keys[:2] == ("trajectory 0, piece 1", "trajectory 0, piece 2")
    assert halves.forecasts[1].measured[0] == halves.forecasts[0].measured[-1]
    assert halves.metrics["rollout_error"] < whole.metrics["rollout_error"]


def test_what_diverges_counts_as_the_cap():
    terms = Terms(names=("x", "v"), states=2, degree=3)
    scales = {name: jnp.asarray(values) for name, values in SCALES.items()}
    params = jax.tree.map(lambda leaf: jnp.full_like(leaf, 100.0), terms.init(jax.random.key(0), scales))
    wild = VectorField(states=("x", "v"), inputs=(), field=terms, params=params, scales=scales)
    found = RolloutError(data=CLEAN)(wild)
    assert found.metrics["diverged"] == 1
    assert found.metrics["rollout_error"] == pytest.approx(CAP, rel=0.2)
    assert len(found.forecasts[0].forecast) < 33


def test_inputs_drive_the_forecast(tmp_path):
    times = np.linspace(0, 3, 31)
    rows = ["run,t,x,u"]
    for run in range(3):
        states = np.exp(-times) * (run + 1) + 1 - np.exp(-times)  # x' = u - x with u = 1
        rows += [f"{run},{t},{x},1" for t, x in zip(times, states, strict=True)]
    (tmp_path / "a.csv").write_text("\n".join(rows))
    data = MeasuredTrajectories(paths=(str(tmp_path / "a.csv"),), inputs=("u",), trajectory="run")
    terms = Terms(names=("x", "u"), states=1, degree=1)
    scales = {"mean": jnp.zeros(2), "deviation": jnp.ones(2), "slope": jnp.ones(1)}
    ones = terms.init(jax.random.key(0), scales)["coefficients"]
    sizes = jnp.sqrt(jnp.array([1.0, 2 / 3, 2 / 3]))
    params = {"coefficients": jnp.array([[0.0], [-1.0], [1.0]]) * sizes[:, None] + 0 * ones}
    learnt = VectorField(states=("x",), inputs=("u",), field=terms, params=params, scales=scales)
    assert RolloutError(data=data, smooth=False)(learnt).metrics["rollout_error"] < 1e-5


@pytest.mark.parametrize("factor", [1.0, 1.1, 0.0])
def test_the_error_of_a_field(factor):
    found = FieldError(data=CLEAN)(truth(factor))
    assert found.metrics["field_error"] == pytest.approx(abs(factor - 1), abs=1e-12)


def test_refusals():
    with pytest.raises(ValueError, match="pieces must be at least 1, got 0"):
        RolloutError(data=CLEAN, pieces=0)
    with pytest.raises(ValueError, match="pieces must leave two samples each, got 33 of a record of 33 samples"):
        RolloutError(data=CLEAN, pieces=33)(truth())
    unknown = MeasuredTrajectories(paths=("a.csv",))
    with pytest.raises(ValueError, match="data must have known equations, got MeasuredTrajectories"):
        FieldError(data=unknown)(truth())
