"""Chaotic systems of dysts, where it is installed."""

import dataclasses
import importlib.util
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.dynamics.systems import TOLERANCE, Normal, chaotic

KEY = jax.random.key(0)


def needs_dysts(test):
    """Mark a test that runs where the extra is installed, which `dev` leaves out."""
    missing = importlib.util.find_spec("dysts") is None
    reason = "dysts is not installed: pip install 'jaxkd-distill[chaos]'"
    return pytest.mark.slow(pytest.mark.skipif(missing, reason=reason)(test))


def test_without_dysts_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(chaotic, "find_spec", lambda name: None)
    chaotic.names.cache_clear()
    chaotic._catalogue.cache_clear()
    with pytest.raises(
        ModuleNotFoundError, match=r"needs dysts\. Install the extra: pip install 'jaxkd-distill\[chaos"
    ):
        chaotic.ten()


@needs_dysts
def test_equations_are_those_of_dysts():
    draws = np.random.default_rng(0)
    for name in chaotic.names():
        system, entry = chaotic.chaotic(name).system, chaotic._entry(name)
        states = np.array(entry["mean"]) + np.array(entry["std"]) * draws.normal(size=(5, len(entry["mean"])))
        model = getattr(chaotic._dysts("flows"), name)()
        expected = np.array([model.rhs(state, 0.0) for state in states])
        scale = np.abs(expected).max(axis=0)
        assert np.all(np.abs(system.slopes(jnp.asarray(states)) - expected) <= 1e-12 * scale), name


@needs_dysts
def test_names_are_of_polynomials_and_in_order():
    listed = chaotic.names()
    assert list(listed) == sorted(listed)
    assert {"Lorenz", "Rossler", "HenonHeiles", "LorenzCoupled"} < set(listed)
    # Of degree 4, with quotients, with absolute values: taken by name, and not listed.
    for name in ("Aizawa", "Blasius", "Chua"):
        assert name not in listed
        assert len(chaotic.chaotic(name).system.equations.states) == 3
    assert all(3 <= len(chaotic.chaotic(name).system.equations.states) <= 10 for name in listed)


@needs_dysts
def test_ten_are_drawn_at_equal_distances():
    places = np.array([chaotic.names().index(name) for name in chaotic.ten()])
    assert len(set(places)) == 10
    assert places[0] == 0
    assert set(np.diff(places)) <= {len(chaotic.names()) // 10, len(chaotic.names()) // 10 + 1}


@needs_dysts
def test_a_record_is_four_periods_of_a_hundred_samples():
    one = chaotic.chaotic("Lorenz")
    assert chaotic.chaotic("Lorenz") is one
    assert one.period == chaotic._entry("Lorenz")["period"]
    assert 0.85 < one.lyapunov < 0.95
    times = np.asarray(one.system.times())
    np.testing.assert_allclose(np.diff(times), one.period / 100)
    np.testing.assert_allclose(times[-1], 4 * one.period)


@needs_dysts
@pytest.mark.parametrize("name", ["Coullet", "Laser", "MooreSpiegel"])
def test_initial_states_are_on_the_attractor(name):
    """For some systems, such as Arneodo, the stored moments are not those of a long trajectory by SciPy either."""
    entry = chaotic._entry(name)
    states = np.asarray(chaotic.chaotic(name).system.starts(KEY, 400))
    off = (states - np.array(entry["mean"])) / np.array(entry["std"])
    # Two hundred periods are few for those that seldom change sides.
    np.testing.assert_allclose(off.mean(axis=0), 0, atol=0.5)
    np.testing.assert_allclose(off.std(axis=0), 1, atol=0.35)
    assert np.abs(off).max() < 6


@needs_dysts
@pytest.mark.parametrize("name", ["HyperQi", "MooreSpiegel"])
def test_half_the_tolerance_gives_the_same_trajectories_over_a_lyapunov_time(name):
    one = chaotic.chaotic(name)
    start = Normal(mean=tuple(one.system.starts(KEY, 1)[0].tolist()), deviation=0.0)
    system = dataclasses.replace(one.system, initial=start, duration=1 / one.lyapunov)
    coarse, fine = (
        np.asarray(jax.jit(lambda key, at=at: system.trajectories(key, 1, tolerance=at))(KEY)[0])
        for at in (TOLERANCE, TOLERANCE / 2)
    )
    assert np.max(np.abs(fine - coarse) / np.std(fine, axis=0)) < 1e-6


@needs_dysts
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("MackeyGlass", "which has a delay"),
        ("Lorenz96", "whose right-hand side is computed on arrays"),
        ("Thomas", "whose right-hand side takes no symbols (loop of ufunc"),
        ("SprottMore", "whose right-hand side takes no symbols (cannot determine truth value of Relational"),
    ],
)
def test_what_is_no_expression_is_refused(name, reason):
    with pytest.raises(ValueError) as raised:
        chaotic.chaotic(name)
    said = "name must be that of a system whose right-hand side is an expression of its states, got "
    assert str(raised.value).startswith(f"{said}{name!r}, {reason}")
    assert str(raised.value).endswith("Take one of jaxkd.dynamics.systems.chaotic.names().")


@needs_dysts
def test_what_depends_on_time_is_refused(monkeypatch):
    right = staticmethod(lambda x, y, z, t, beta, rho, sigma: (x * t, y, z))
    monkeypatch.setattr(chaotic._dysts("flows").Lorenz, "_rhs", right)
    with pytest.raises(ValueError, match="'Lorenz', whose right-hand side depends on time"):
        chaotic._sides.__wrapped__("Lorenz")


@needs_dysts
def test_what_numba_has_compiled_is_read_as_python(monkeypatch):
    kind = chaotic._dysts("flows").Lorenz
    compiled = SimpleNamespace(py_func=getattr(kind._rhs, "py_func", kind._rhs))
    expected = chaotic._sides.__wrapped__("Lorenz")
    monkeypatch.setattr(kind, "_rhs", compiled)
    assert chaotic._sides.__wrapped__("Lorenz") == expected


@needs_dysts
def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="a continuous system of dysts, got 'lorentz'. Did you mean 'Lorenz'"):
        chaotic.chaotic("lorentz")
    with pytest.raises(ValueError, match="got '12345'. Take one of jaxkd.dynamics.systems.chaotic.names()"):
        chaotic.chaotic("12345")
