"""PySINDy beside `identify`: that it is PySINDy, how its thresholds are chosen, and what is reported."""

import importlib.util
from pathlib import Path

import numpy as np
import pysindy
import pytest
import sympy

from benchmarks.dynamics import beside_pysindy, dynamics, pysindy_fits, pysindy_table
from benchmarks.dynamics.beside_pysindy import Variant
from benchmarks.row import Bar
from benchmarks.runner import read
from jaxkd.dynamics import systems


@pytest.fixture(scope="module")
def records():
    """A damped oscillator, from eight starts, with a little noise."""
    times, draws = np.linspace(0, 6, 61), np.random.default_rng(0)
    size, phase = draws.uniform(1, 2, (8, 1)), draws.uniform(0, 6, (8, 1))
    turn = np.exp(-0.1 * times + 1j * (times + phase)) * size
    clean = np.stack([turn.real, turn.imag], axis=2)
    return clean + 0.02 * draws.normal(size=clean.shape), times


def model(threshold, library=None, **settings):
    library = library or pysindy.PolynomialLibrary(degree=3)
    return pysindy.SINDy(optimizer=pysindy.STLSQ(threshold=threshold), feature_library=library, **settings)


def test_every_threshold_is_one_fit_of_pysindy(records):
    states, times = records
    found = pysindy_fits.coefficients(pysindy_fits.differences(window=5)(states, times))
    assert len({np.count_nonzero(table) for table in found}) > 3
    for threshold, table in zip(pysindy_fits.THRESHOLDS[::3], found[::3], strict=True):
        method = pysindy.SmoothedFiniteDifference(smoother_kws={"window_length": 5})
        with pysindy_fits.quiet():
            own = model(threshold, differentiation_method=method).fit(list(states), times)
        np.testing.assert_allclose(table, own.coefficients(), rtol=1e-8, atol=1e-10)


def test_the_weak_form_is_that_of_pysindy(records):
    states, times = records
    found = pysindy_fits.coefficients(pysindy_fits.windows(count=20, seed=3)(states, times))
    with pysindy_fits.drawn_by(3), pysindy_fits.quiet():
        library = pysindy.WeakPDELibrary(pysindy.PolynomialLibrary(degree=3), spatiotemporal_grid=times, K=20)
        own = model(pysindy_fits.THRESHOLDS[5], library).fit(list(states), times)
    np.testing.assert_allclose(found[5], own.coefficients(), rtol=1e-8, atol=1e-10)


def test_an_ensemble_is_that_of_pysindy(records, monkeypatch):
    monkeypatch.setattr(pysindy_fits, "THRESHOLDS", (0.05,))
    sides = pysindy_fits.differences(order=4)(*records)
    (found,) = pysindy_fits.coefficients(sides, ensemble_seed=4)
    own = pysindy.EnsembleOptimizer(pysindy.STLSQ(threshold=0.05), bagging=True, n_models=pysindy_fits.MODELS)
    with pysindy_fits.drawn_by(4):
        own.fit(*(np.reshape(side, (-1, side.shape[2])) for side in sides))
    np.testing.assert_allclose(found, own.coef_, rtol=1e-8, atol=1e-10)
    assert np.any(found != pysindy_fits.coefficients(sides)[0])


def test_a_fold_is_held_out(records):
    features, targets = pysindy_fits.differences()(*records)
    errors = pysindy_fits.held_out((features, targets))
    assert errors.shape == (len(pysindy_fits.THRESHOLDS), 2, pysindy_fits.FOLDS)
    table = pysindy_fits.coefficients((np.delete(features, 2, axis=0), np.delete(targets, 2, axis=0)))[4]
    expected = np.mean((features[2] @ table.T - targets[2]) ** 2, axis=0)
    np.testing.assert_allclose(errors[4, :, 2], expected, rtol=1e-10)


def test_terms_are_in_the_order_of_pysindy():
    x, y = sympy.symbols("x y")
    assert pysindy_fits.terms((x, y)) == (1, x, y, x**2, x * y, y**2, x**3, x**2 * y, x * y**2, y**3)


def test_numpy_draws_on_as_if_nothing_had_been_drawn():
    np.random.seed(1)
    expected = np.random.uniform(size=2)
    np.random.seed(1)
    first = np.random.uniform()
    with pysindy_fits.drawn_by(7):
        np.random.uniform(size=5)
    assert [first, np.random.uniform()] == list(expected)


def test_thresholds_are_chosen_for_each_equation_by_errors_alone():
    terms = np.array([[3, 3], [2, 2], [1, 2], [0, 0]])
    candidates = np.arange(3) < terms[:, :, None]
    errors = np.array([[1.0, 1.0], [1.1, 2.0], [1.5, 2.0], [9.0, 9.0]])[:, :, None] + np.array([-0.2, 0.0, 0.2])
    assert list(beside_pysindy.least(candidates, errors)) == [0, 0]
    assert list(beside_pysindy.sparsest(candidates, errors)) == [1, 0]
    errors[1:3, 1] = errors[0, 1]
    assert beside_pysindy.sparsest(candidates, errors)[1] == 2


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [([1, 1, 0], [1, 1, 0], 1), ([0] * 5, [1] * 5, 1 / 32), ([1, 0, 0], [0, 1, 1], 0.5), ([1] * 3, [0] * 3, 1)],
)
def test_mcnemar(ours, theirs, expected):
    assert beside_pysindy.p_no_worse(ours, theirs) == pytest.approx(expected)


@pytest.mark.slow
def test_one_seed_of_one_system(monkeypatch):
    monkeypatch.setattr(beside_pysindy, "QUICK", 1)
    monkeypatch.setattr(dynamics, "EQUATIONS", ((systems.LOTKA_VOLTERRA, 0.05, None),))
    variants = (Variant(method="STLSQ", sides="smoothed by 5"), Variant(method="weak form", sides="windows"))
    monkeypatch.setattr(beside_pysindy, "VARIANTS", variants)
    measured = beside_pysindy.measure(quick=True)
    assert measured.environment.versions["pysindy"].startswith("2.")
    rows = {row.figure.partition(": ")[2]: row for row in measured.rows}
    assert len(rows) == 1 + 2 * 2 + 2 * 2 + 2
    assert all(row.value in (0, 1) and row.interval for figure, row in rows.items() if figure.startswith("PySINDy"))
    assert rows["right terms, identify, of 1 seeds"].value == 1
    assert rows["PySINDy weak form, any setting in each equation"].value == 1
    assert rows["p of as few seeds, were identify no worse"].bar == Bar(relation=">", limit=0.05)
    assert rows["p of as few seeds, were identify no worse"].value == 1


def test_without_pysindy_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs pysindy\. Install the extra: pip install 'jaxkd-distill\[pysindy\]'"):
        beside_pysindy.measure(quick=True)


def test_the_page_shows_the_kept_result():
    kept = read(Path("benchmarks/results/pysindy.json"))
    assert pysindy_table.table(kept) in Path("docs/dynamics.md").read_text()
