"""The benchmark of known systems, and its picture."""

import jax

from benchmarks import dynamics, plot_dynamics
from benchmarks.plot_losses_memory import save
from jaxkd.dynamics import systems


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


def test_the_picture_has_three_panels(tmp_path):
    with jax.enable_x64(True):
        drawing = plot_dynamics.draw(plot_dynamics.found(replicates=3))
    save(drawing, tmp_path / "dynamics.svg")
    text = (tmp_path / "dynamics.svg").read_text()
    for words in ("Samples with 10% noise", "Their derivatives", "Forecast, another start", "predators"):
        assert words in text
