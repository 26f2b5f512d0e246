"""Checks that found equations have to pass."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from jaxkd.dynamics import Equations, HeldOut, HiddenStateTest, bootstrap, fourier_fit, sparse_fit, trust
from jaxkd.dynamics.validation.trust import condition_of_chosen

NAMES = ("x", "y")
TRUTH = np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])

fitted = jax.jit(sparse_fit)
curved = jax.jit(fourier_fit)


def drawn_features():
    return np.random.default_rng(0).normal(size=(8, 50, 4))


COMPLETE = HiddenStateTest(by_present=np.array([0.01, 0.01]), by_past=np.array([0.01, 0.01]))


def judged(*, held=None, before=COMPLETE, stable=1.0, features=None, truth=TRUTH, **options):
    """Checks of a fit that is right, with one thing changed: x is made of two terms, y of one."""
    features = drawn_features() if features is None else features
    fit = fitted(features, features @ truth + 1e-5 * np.random.default_rng(1).normal(size=(8, 50, 2)))
    if not truth.any():
        fit = dataclasses.replace(fit, support=jnp.zeros_like(fit.support))
    drawn = bootstrap(fit, jax.random.key(0), replicates=20)
    held = forecasts() if held is None else held
    return trust(fit, drawn, held, before, stable=stable, names=NAMES, **options)


def forecasts(*, off=0.0, pattern=0.0, reached=True):
    """Forecasts of states of deviation 1 with noise 0.05, all off by a constant, and their remainders by a wave."""
    noise = 0.05 * np.random.default_rng(1).normal(size=(6, 40, 2))
    measured = np.zeros((6, 40, 2))
    wave = np.sin(np.linspace(0, 6, 40))[None, :, None]
    return HeldOut(
        curves=curved(noise[0], np.arange(40.0)),
        deviation=np.ones(2),
        noise=np.full(2, 0.05),
        trajectory=np.zeros(6, int),
        start=np.arange(6),
        measured=measured,
        forecast=noise + off,
        remainder=noise + pattern * wave if reached else np.full_like(noise, np.nan),
        reached=np.full(6, reached),
    )


def test_what_is_right_passes():
    assert [check.holds for check in judged()] == [True] * 6


@pytest.mark.parametrize(
    ("change", "number", "found"),
    [
        ("off", 0, "off by 0.3 of the standard deviation, worst in "),
        ("diverged", 0, "100 % of the forecasts diverge or are too stiff"),
        ("diverged", 1, "nothing is left where forecasts diverge"),
        ("pattern", 1, "its autocorrelation is 0.85, worst in x, where 0.11 of the standard deviation is no noise"),
        ("unstable", 2, "50 % of them"),
        ("collinear", 3, "errors grow by up to 2.1e+03 in the coefficients of x"),
        ("hidden", 5, "the past explains 0.39 more of how y moves: a state that was not measured, or a term"),
    ],
)
def test_each_fault_fails_its_check(change, number, found):
    near = drawn_features()
    near[..., 1] = near[..., 0] + 1e-3 * near[..., 1]
    changes = {
        "off": {"held": forecasts(off=0.3)},
        "diverged": {"held": forecasts(reached=False)},
        "pattern": {"held": forecasts(pattern=0.15)},
        "unstable": {"stable": 0.5},
        "collinear": {"features": near},
        "hidden": {"before": HiddenStateTest(by_present=np.array([0.01, 0.4]), by_past=np.array([0.01, 0.01]))},
    }
    check = judged(**changes[change])[number]
    assert not check.holds
    assert found in check.found


def test_little_that_the_past_explains_is_no_hidden_state():
    """Half of almost nothing, and a little of much."""
    before = HiddenStateTest(by_present=np.array([2e-4, 0.20]), by_past=np.array([5e-5, 0.19]))
    assert judged(before=before)[5].holds


@pytest.mark.parametrize(
    ("present", "past", "holds", "found"),
    [
        ([0.01, 1.0], [0.01, 0.75], None, "not to be told: all of how y moves is unexplained, and its past explains"),
        ([0.01, 0.3], [0.01, 0.2], None, "not to be told: 30 % of how y moves is unexplained"),
        ([0.01, 0.2], [0.01, 0.15], True, "the past explains 0 more of how x moves"),
        ([0.01, 7.0], [0.01, 0.9], None, "not to be told"),  # no more than all can be unexplained
        ([0.01, 7.0], [0.01, 0.3], False, "the past explains 0.7 more of how y moves"),
    ],
)
def test_what_noise_may_hide_is_not_answered(present, past, holds, found):
    check = judged(before=HiddenStateTest(by_present=np.array(present), by_past=np.array(past)))[5]
    assert check.holds is holds
    assert found in check.found


def test_without_equations_only_hidden_states_are_checked():
    checks = judged(truth=np.zeros_like(TRUTH))
    assert [check.holds for check in checks] == [None] * 5 + [True]
    assert {check.found for check in checks[:5]} == {"there is no equation"}


def test_known_equations_without_a_fitted_term_are_checked_where_they_can_be():
    x, y = sympy.symbols("x y")
    known = Equations.of([x * y, y], (x, y))
    checks = judged(truth=np.zeros_like(TRUTH), known=known)
    assert [check.holds for check in checks] == [True, True, True, None, None, True]
    assert [check.found for check in checks[3:5]] == ["no coefficient was fitted", "no term was chosen"]


def test_forecasts_of_what_was_not_held_out_can_only_fail():
    first, *rest = judged(unseen=False)
    assert first.holds is None
    assert first.found.startswith("none was held out; on the same one off by ")
    assert all(check.holds for check in rest)
    assert judged(unseen=False, held=forecasts(off=0.3))[0].holds is False


def test_records_that_are_too_short_for_hidden_states():
    check = judged(before=None)[5]
    assert (check.holds, check.found) == (None, "the records are too short to tell")


def test_the_condition_is_that_of_the_chosen_terms():
    near = drawn_features()
    near[..., 2] = near[..., 1] + 1e-2 * near[..., 2]
    fit = fitted(near, near @ np.eye(4)[:, :1] @ np.array([[1.0, 0.0]]))
    np.testing.assert_allclose(condition_of_chosen(fit), [1.0, 1.0])
    support = np.array([[False, True], [True, True], [True, False], [False, False]])
    both = dataclasses.replace(fit, support=jnp.asarray(support))
    columns = [near.reshape(-1, 4)[:, chosen] for chosen in support.T]
    want = [np.linalg.cond(one / np.linalg.norm(one, axis=0)) for one in columns]
    np.testing.assert_allclose(condition_of_chosen(both), want, rtol=1e-9)
