"""The benchmark of times to a good field, in miniature."""

import math
import tempfile
from pathlib import Path

import jax
import pytest

from benchmarks import time_to_target
from benchmarks.time_to_target import AHEAD, FAST, SOLVED, THEN, Curve, Setting
from jaxkd.data.trajectory_sources import SimulatedTrajectories
from jaxkd.dynamics import systems


def curve(*errors: float, before: float = 0.0, step_seconds: float = 1.0) -> Curve:
    """With an error every ten steps."""
    steps = {10 * (place + 1): error for place, error in enumerate(errors)}
    return Curve(before=before, step_seconds=step_seconds, steps=10 * len(errors), errors=steps)


def test_time_until_a_target():
    found = curve(0.5, 0.2, 0.3, 0.1, before=3.0, step_seconds=0.5)
    assert [found.until(target) for target in (0.5, 0.25, 0.1)] == [8.0, 13.0, 23.0]
    assert found.until(0.05) == math.inf
    assert (found.seconds, found.last) == (23.0, 0.1)


def test_a_run_that_ended_early_has_no_last_error():
    ended = Curve(before=0.0, step_seconds=1.0, steps=40, errors={10: 0.2})
    assert ended.last == math.inf
    assert ended.until(0.2) == 10


def test_ratios_count_what_is_not_reached_as_reached_at_its_end():
    curves = {
        FAST: [curve(0.1), curve(0.3)],
        SOLVED: [curve(0.4, 0.3, 0.1), curve(0.1, 0.1, 0.1)],
        "other": [curve(0.4, 0.3, 0.3), curve(0.3, 0.1, 0.1)],
        THEN: [curve(0.1), curve(0.1)],
    }
    loose, _, tight, _ = time_to_target._ratios(systems.LORENZ, (0.3, 0.1), curves)
    assert loose.figure == "Lorenz: time to 0.30, NeuralODE, RK4 / FNODE"
    assert (loose.samples, loose.bar) == ((2.0, 1.0), AHEAD)
    # FNODE does not reach it at the second seed.
    assert (tight.samples, tight.bar) == ((3.0, 0.0), None)


def test_rows_say_how_many_reached_a_target():
    first, *_, end = time_to_target._times("Lorenz: FNODE", (0.2,), [curve(0.1), curve(0.4)])
    assert first.figure == "Lorenz: FNODE, time to 0.20 (reached by 1 of 2)"
    assert (end.value, end.unit) == (0.25, "error / truth")


@pytest.fixture
def few_records(monkeypatch):
    def records(system, seed):
        return SimulatedTrajectories.of(system, noise=0.01, seed=seed, count=2)

    monkeypatch.setattr(time_to_target, "_records", records)


def test_methods_are_given_time_by_that_of_fnode(few_records, monkeypatch):
    monkeypatch.setattr(Setting, "step_seconds", lambda self, data: {FAST: 1.0, SOLVED: 5.0}[self.method])
    with jax.enable_x64(True):
        records = time_to_target._records(systems.LOTKA_VOLTERRA, 0)
        settings = [time_to_target._trials(method, records)[0] for method in (FAST, SOLVED)]
        with tempfile.TemporaryDirectory() as folder:
            made = time_to_target._learnt(settings, records, Path(folder), 0, steps=10, unit=10.0)
            curves = dict(made)
    assert {name: found.steps for name, found in curves.items()} == {FAST: 10, SOLVED: 20, THEN: 2}
    assert curves[THEN].before == curves[FAST].seconds
    assert curves[THEN].errors[1] < 1.2 * curves[FAST].last
    assert all(list(found.errors) == list(range(1, found.steps + 1)) for found in curves.values())


def test_the_best_trial_is_that_of_the_least_forecast_error(few_records, monkeypatch):
    with jax.enable_x64(True):
        records = time_to_target._records(systems.LOTKA_VOLTERRA, 0)
        trials = time_to_target._trials(FAST, records)
        assert len(trials) == 6
        worse, better = trials[0], trials[2]
        assert (worse.rate, better.rate) == (1e-3, 1e-2)
        monkeypatch.setattr(Setting, "steps_in", lambda self, seconds, data: 20)
        assert time_to_target._best((worse, better), records, 1.0) == better
