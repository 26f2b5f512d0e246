"""The benchmark of known systems, and its picture."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.dynamics import dynamics, plot_dynamics
from benchmarks.dynamics.dynamics import Tried
from benchmarks.losses.plot_losses_memory import save
from jaxkd.dynamics import FourierFit, systems


def test_rows_are_of_the_seeds_and_their_bars(monkeypatch):
    tried = {
        (seed, rounds): Tried(right=seed % 2 == rounds // 2, reached=seed != 101, error=seed / 1000)
        for seed in range(100, 105)
        for rounds in (0, 2)
    }
    monkeypatch.setattr(dynamics, "SLOPES", {0.01: dynamics.SLOPES[0.01]})
    monkeypatch.setattr(dynamics, "EQUATIONS", ((systems.LOTKA_VOLTERRA, 0.05, None),))
    monkeypatch.setattr(dynamics, "_slope_error", lambda system, seed, level: seed * level)
    monkeypatch.setattr(dynamics, "identified", lambda system, seed, level, rounds, count: tried[seed, rounds])
    rows = dynamics.measure(quick=True).rows
    equations = "Lotka-Volterra, 5% noise"
    assert [(row.figure, round(row.value, 6), row.bar) for row in rows] == [
        ("Lotka-Volterra, 1% noise: error of derivatives", 1.02, dynamics.SLOPES[0.01]),
        ("Lorenz, 1% noise: error of derivatives", 1.02, dynamics.SLOPES[0.01]),
        (f"{equations}: right terms, of 5 seeds", 0.4, None),
        (f"{equations}: right terms among the candidates, of 5 seeds", 0.8, None),
        (f"{equations}: the one of the other", 0.5, dynamics.OF_CEILING),
        (f"{equations}: right terms without rounds, of 5 seeds", 0.6, None),
        (f"{equations}: largest relative error of a coefficient", 0.102, None),
    ]


@pytest.mark.slow
def test_one_seed_of_one_system(monkeypatch):
    monkeypatch.setattr(dynamics, "QUICK", 1)
    monkeypatch.setattr(dynamics, "SLOPES", {0.01: dynamics.SLOPES[0.01]})
    monkeypatch.setattr(dynamics, "EQUATIONS", ((systems.LOTKA_VOLTERRA, 0.05, None),))
    rows = {row.figure: row for row in dynamics.measure(quick=True).rows}
    assert rows["Lotka-Volterra, 5% noise: right terms, of 1 seeds"].value in (0, 1)
    assert rows["Lotka-Volterra, 5% noise: right terms among the candidates, of 1 seeds"].value == 1
    assert rows["Lotka-Volterra, 5% noise: the one of the other"].bar == dynamics.OF_CEILING
    slopes = [row for figure, row in rows.items() if "error of derivatives" in figure]
    assert len(slopes) == 2
    assert all(row.holds for row in slopes)


def test_reported_seeds_are_not_those_that_choices_were_made_by():
    assert min(dynamics.SEEDS) > 9


def made_up(replicates):
    """A straight line, its curve, and forecasts beside the truth."""
    times = np.asarray(plot_dynamics.SYSTEM.times())
    states = np.stack([1 + times, 2 + times], axis=1)
    fitted = {"start": (1,), "end": (1,), "polynomial": (1, 4, 2), "amplitudes": (1, 9, 2)}
    fitted |= dict.fromkeys(("cutoff", "parameters", "noise"), (1, 2))
    curve = FourierFit(**{name: jnp.asarray(np.ones(shape)) for name, shape in fitted.items()})
    return plot_dynamics.Found(
        times=times,
        clean=states,
        measured=states + 0.1,
        identified=types.SimpleNamespace(curves=curve),
        truth=states,
        forecasts=states + 0.01 * np.arange(replicates)[:, None, None],
    )


@pytest.mark.parametrize("found", [made_up, pytest.param(plot_dynamics.found, marks=pytest.mark.slow)])
def test_the_picture_has_three_panels(tmp_path, found):
    with jax.enable_x64(True):
        drawing = plot_dynamics.draw(found(replicates=3))
    save(drawing, tmp_path / "dynamics.svg")
    text = (tmp_path / "dynamics.svg").read_text()
    for words in ("Samples with 10% noise", "Their derivatives", "Forecast, another start", "predators"):
        assert words in text
