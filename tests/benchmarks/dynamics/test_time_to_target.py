"""The benchmark of times to a good field, in miniature."""

import math

import jax
import pytest

from benchmarks import environment
from benchmarks.dynamics import plot_time_to_target, time_to_target
from benchmarks.dynamics.time_to_target import AHEAD, FAST, SOLVED, THEN, Costs, Curve
from benchmarks.row import Measured
from jaxkd.data.trajectories import SimulatedTrajectories
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


def test_the_least_error_within_a_time():
    found = curve(0.5, 0.2, 0.3, before=3.0, step_seconds=0.5)
    assert [found.within(seconds) for seconds in (7.9, 8.0, 13.0, 18.0)] == [math.inf, 0.5, 0.2, 0.2]
    assert (found.within(18.4), found.within(19.0)) == (0.2, math.inf)


def test_curves_are_kept_in_units_of_a_run_of_fnode():
    fast = [curve(0.4, 0.3, 0.2, 0.1), curve(0.8, 0.6, 0.4, 0.2)]
    rows = list(time_to_target._errors(systems.LORENZ, FAST, fast, fast))
    assert [row.figure for row in rows] == [
        time_to_target.within(systems.LORENZ, FAST, units) for units in (0.25, 0.5, 1)
    ]
    assert [row.samples for row in rows] == [(0.4, 0.8), (0.3, 0.6), (0.1, 0.2)]
    last = time_to_target._errors(systems.LORENZ, THEN, [curve(0.1, before=40.0, step_seconds=4.0)], fast[:1])
    assert [row.figure for row in last] == [time_to_target.within(systems.LORENZ, THEN, 2)]


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


@pytest.mark.slow
def test_methods_are_given_time_by_that_of_fnode(few_records):
    with jax.enable_x64(True):
        records = time_to_target._records(systems.LOTKA_VOLTERRA, 0)
        settings = [time_to_target._trials(method, records)[0] for method in (FAST, SOLVED)]
        costs = Costs(
            slopes=2.0, steps={(one.method, one.size): 5.0 if one.method == SOLVED else 1.0 for one in settings}
        )
        curves = time_to_target._learnt(settings, records, 0, 10, costs)
    assert {name: found.steps for name, found in curves.items()} == {FAST: 10, SOLVED: 24, THEN: 2}
    assert (curves[FAST].seconds, curves[SOLVED].seconds) == (12, 120)
    assert curves[THEN].before == curves[FAST].seconds
    assert curves[THEN].errors[1] < 1.2 * curves[FAST].last
    assert all(list(found.errors) == list(range(1, found.steps + 1)) for found in curves.values())


def test_steps_and_slopes_are_timed_in_turns(few_records, monkeypatch):
    runs = []

    def run(train, folder, seed):
        runs.append((type(train.recipe).__name__, train.recipe.rows))

    times, slopes = iter([1.0, 20.0, 3.0, 10.0, 2.0, 60.0]), iter([0.5, 7.0, 0.4])
    monkeypatch.setattr(time_to_target, "_slope_seconds", lambda recipe: next(slopes))
    monkeypatch.setattr(time_to_target.field_run, "run", run)
    monkeypatch.setattr(time_to_target.field_run, "step_seconds", lambda folder: next(times))
    monkeypatch.setattr(time_to_target, "METHODS", {FAST: time_to_target.METHODS[FAST]})
    with jax.enable_x64(True):
        costs = time_to_target._costs(time_to_target._records(systems.LORENZ, 0), 3)
    assert runs == [("FNODE", 256), ("FNODE", 1024)] * 3
    assert costs == Costs(slopes=0.5, steps={(FAST, "batches of 256"): 2.0, (FAST, "batches of 1024"): 20.0})


def test_the_best_trial_is_that_of_the_least_forecast_error(few_records, monkeypatch):
    """After the steps that it makes in three times as long as FNODE's fastest takes for its own."""
    trained = []

    def validated(train, evaluator, folder, *, seed):
        trained.append((train.optimizer.learning_rate, train.steps, evaluator.split, seed))
        errors = {1e-3: {21: 0.4, 20: 0.1}, 3e-3: {20: 0.1}, 1e-2: {21: 0.3, 22: 0.5}}
        return errors[train.optimizer.learning_rate]

    monkeypatch.setattr(time_to_target, "_validated", validated)
    records = time_to_target._records(systems.LOTKA_VOLTERRA, 0)
    trials = time_to_target._trials(FAST, records)
    costs = Costs(slopes=9.0, steps={(FAST, trials[0].size): 2.0, (FAST, trials[3].size): 4.0})
    assert time_to_target._best(trials[:3], records, 7, costs) == trials[2]
    assert trained == [(rate, 21, "validation", 0) for rate in (1e-3, 3e-3, 1e-2)]
    slower = Costs(slopes=9.0, steps={(FAST, trials[0].size): 4.0, (FAST, trials[3].size): 3.8})
    time_to_target._best(trials[:1], records, 7, slower)
    assert trained[3:] == [(1e-3, 20, "validation", 0)]


@pytest.mark.slow
def test_the_better_of_two_rates_is_found(few_records):
    with jax.enable_x64(True):
        records = time_to_target._records(systems.LOTKA_VOLTERRA, 0)
        trials = time_to_target._trials(FAST, records)
        assert len(trials) == 6
        worse, better = trials[0], trials[2]
        assert (worse.rate, better.rate) == (1e-3, 1e-2)
        costs = Costs(slopes=0.0, steps={(one.method, one.size): 1.0 for one in trials})
        assert time_to_target._best((worse, better), records, 7, costs) == better


def made_up():
    """Curves of two seeds, and of each method as long as its runs are."""
    long = {FAST: (1.0, 0.0), THEN: (1.0, 1.0)}
    rows = []
    for system, _ in time_to_target.TARGETS:
        fast = [curve(*(0.5 / (1 + step) for step in range(20)))] * 2
        for number, name in enumerate((*time_to_target.METHODS, THEN)):
            times, before = long.get(name, (10.0, 0.0))
            errors = (0.5 / (1 + step / (1 + number)) for step in range(round(20 * times)))
            found = [curve(*errors, before=200 * before)] * 2
            rows += time_to_target._errors(system, name, found, fast)
    return Measured(rows=tuple(rows), environment=environment.here())


def test_the_drawing_has_every_method_on_both_systems(tmp_path):
    measured = made_up()
    found = plot_time_to_target.curves(measured)
    assert list(found) == ["Lotka-Volterra", "Lorenz"]
    assert [list(points)[-1] for points in found["Lorenz"].values()] == [1, 8, 8, 8, 2]
    (tmp_path / "drawing.svg").write_text(plot_time_to_target.drawn(measured))
    text = (tmp_path / "drawing.svg").read_text()
    for words in ("Lotka-Volterra", "Lorenz", "multiple shooting", "FNODE, then NeuralODE", "over that of FNODE"):
        assert words in text


def test_a_method_without_a_curve_is_said():
    measured = made_up()
    rows = tuple(row for row in measured.rows if "Tsit5" not in row.figure)
    with pytest.raises(ValueError, match="errors of NeuralODE, Tsit5 on Lotka-Volterra"):
        plot_time_to_target.drawn(Measured(rows=rows, environment=measured.environment))
