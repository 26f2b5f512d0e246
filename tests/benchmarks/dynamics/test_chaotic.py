"""The benchmark of chaotic systems."""

import dataclasses
import types

import numpy as np
import pytest
import sympy

from benchmarks.dynamics import chaotic
from jaxkd.dynamics import Equations
from jaxkd.dynamics.systems import LORENZ, System, Uniform
from jaxkd.dynamics.systems import chaotic as systems_of_dysts
from jaxkd.dynamics.systems.chaotic import ChaoticSystem


def test_forecasts_are_valid_until_they_are_off_by_four_tenths_of_the_spread():
    times = np.linspace(0, 4, 5)
    # Both states have the spread 1, and the second is right throughout.
    truth = np.tile(np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])[:, None, None], (1, 5, 2))
    forecast = truth.copy()
    forecast[0, 3:, 0] += 0.57
    forecast[1, 2, 0] += 0.56
    forecast[2, 1:, 0] = np.inf
    forecast[3, 4, 0] = np.nan
    np.testing.assert_array_equal(chaotic.valid_times(forecast, truth, times), [3, 4, 1, 4, 4, 4])


def test_a_library_is_cubic_up_to_four_states():
    def of(count):
        states = sympy.symbols(f"x:{count}")
        box = Uniform(low=(0.0,) * count, high=(1.0,) * count)
        equations = Equations.of(list(states), states)
        system = System(name="growth", equations=equations, initial=box, duration=1.0, samples=11)
        return chaotic.library(ChaoticSystem(system=system, period=1.0, lyapunov=1.0))

    assert [len(of(count)) for count in (3, 4, 5)] == [20, 35, 21]


def test_rows_compare_what_was_found_and_its_forecasts_with_the_truth(monkeypatch):
    """One seed finds the right terms, a tenth off; the other puts a constant in the place of a term."""
    lorenz = ChaoticSystem(system=LORENZ, period=1.5, lyapunov=0.9)
    terms = chaotic.library(lorenz)
    truth = LORENZ.equations.within(terms)
    off, other = truth.coefficients.copy(), truth.coefficients.copy()
    place = tuple(np.argwhere(other != 0)[-1])
    off[place] *= 1.1
    other[place], other[0, place[1]] = 0, 1

    def found(table):
        candidates = np.stack([table != 0, np.zeros_like(table, bool)]).transpose(2, 0, 1)
        equations = dataclasses.replace(truth, coefficients=table)
        return types.SimpleNamespace(equations=equations, fit=types.SimpleNamespace(candidates=candidates))

    def simulations(table):
        forecast = states.copy()
        forecast[:, 3 if table[place] else 2 :] += 1
        return forecast

    times, states = np.arange(5.0), np.tile(np.array([-1.0, 1.0])[:, None, None], (1, 5, 3))
    tables = iter((off, other))
    monkeypatch.setattr(chaotic.dynamics, "drawn", lambda *_: (None, None))
    monkeypatch.setattr(chaotic, "identify", lambda *_, **__: found(next(tables)))
    monkeypatch.setattr(chaotic, "_simulations", lambda one: (times, simulations, states))
    rows = {row.figure.removeprefix("Lorenz, 1% noise: "): row for row in chaotic._rows(lorenz, range(2))}
    assert rows["right terms, of 2 seeds"].value == 0.5
    assert rows["right terms among the candidates"].value == 0.5
    assert rows["largest relative error of a coefficient"].samples == pytest.approx((0.1, 1))
    assert rows["valid prediction, median of 16 states"].samples == pytest.approx((2.7, 1.8))


@pytest.mark.slow
def test_one_seed_of_one_system(monkeypatch):
    monkeypatch.setattr(chaotic, "ten", lambda: ("Lorenz",))
    monkeypatch.setattr(chaotic, "chaotic", lambda name: ChaoticSystem(system=LORENZ, period=1.5, lyapunov=0.9))
    monkeypatch.setattr(chaotic, "TESTS", 2)
    monkeypatch.setattr(chaotic, "HORIZON", 2)
    rows = {row.figure: row for row in chaotic.measure(quick=True).rows}
    assert list(rows) == [
        "Lorenz, 1% noise: right terms, of 1 seeds",
        "Lorenz, 1% noise: right terms among the candidates",
        "Lorenz, 1% noise: largest relative error of a coefficient",
        "Lorenz, 1% noise: valid prediction, median of 2 states",
    ]
    assert rows["Lorenz, 1% noise: right terms, of 1 seeds"].value == 1
    assert rows["Lorenz, 1% noise: largest relative error of a coefficient"].value < 0.03
    np.testing.assert_allclose(rows["Lorenz, 1% noise: valid prediction, median of 2 states"].value, 2, atol=0.02)


def test_without_dysts_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(systems_of_dysts, "find_spec", lambda name: None)
    systems_of_dysts.names.cache_clear()
    systems_of_dysts._catalogue.cache_clear()
    with pytest.raises(ValueError, match=r"needs what is not installed: .* pip install 'jaxkd-distill\[chaos\]'"):
        chaotic.measure(quick=True)
