"""How often intervals hold what is true."""

import jax
import pytest

from benchmarks.dynamics import coverage
from benchmarks.dynamics.coverage import Tried
from jaxkd.dynamics import systems


@pytest.mark.slow
def test_one_seed_of_one_system():
    with jax.enable_x64(True):
        rows = list(coverage._coverage(systems.LOTKA_VOLTERRA, 0.05, range(200, 201)))
    title = "Lotka-Volterra, 5% noise: "
    assert [row.figure.removeprefix(title) for row in rows] == [
        "coefficients within their interval, of 1 seeds",
        "states within their band, of 1 seeds",
        "coefficients within their interval, of the 1 seeds with the right terms",
        "states within their band, of the 1 seeds with the right terms",
    ]
    assert rows[0].value in (0, 0.25, 0.5, 0.75, 1)
    assert rows[1].value > 0.3
    assert all(row.bar == coverage.CALIBRATED for row in rows)


def test_rows_are_of_all_seeds_and_of_those_with_the_right_terms(monkeypatch):
    tried = {
        200: Tried(right=True, held=(True, True, True, False), within=(True, False)),
        201: Tried(right=False, held=(False,), within=(False,)),
    }
    monkeypatch.setattr(coverage, "_tried", lambda system, seed, level: tried[seed])
    rows = list(coverage._coverage(systems.LOTKA_VOLTERRA, 0.05, range(200, 202)))
    title = "Lotka-Volterra, 5% noise: "
    assert [(row.figure.removeprefix(title), row.value, row.bar) for row in rows] == [
        ("coefficients within their interval, of 2 seeds", 3 / 5, coverage.CALIBRATED),
        ("states within their band, of 2 seeds", 1 / 3, coverage.CALIBRATED),
        ("coefficients within their interval, of the 1 seeds with the right terms", 3 / 4, coverage.CALIBRATED),
        ("states within their band, of the 1 seeds with the right terms", 1 / 2, coverage.CALIBRATED),
    ]
    assert len(list(coverage._coverage(systems.LOTKA_VOLTERRA, 0.05, range(201, 202)))) == 2


@pytest.mark.slow
def test_a_term_that_is_not_true_is_not_held(monkeypatch):
    """A system is given other equations: one of its true terms is missing and one is extra."""
    wrong = systems.LOTKA_VOLTERRA.equations
    x, y = wrong.states
    other = type(wrong).of([1.5 * x - x**2, -3 * y + x * y], (x, y))
    system = systems.System(
        name="other", equations=other, initial=systems.LOTKA_VOLTERRA.initial, duration=8.0, samples=81
    )
    with jax.enable_x64(True):
        measured = systems.LOTKA_VOLTERRA.trajectories(jax.random.key(0), 17)
        monkeypatch.setattr(coverage, "_trajectories", lambda *_: measured)
        tried = coverage._tried(system, 200, 0.01)
    assert not tried.right
    assert len(tried.held) == 5
    assert sum(tried.held) == pytest.approx(2, abs=1)
    assert len(tried.within) == 81 * 2
